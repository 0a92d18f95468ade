import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from slimline.core.evaluation.classes import class_numbers, class_scores, one_hot, predicted_classes, require_labels
from slimline.errors import ExamplesError

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.4, 0.6]])
PROBABILITIES = np.array([[0.5], [0.49], [0.9], [0.0]])


def test_the_largest_score_decides_and_of_one_probability_one_half():
    assert predicted_classes(SCORES).tolist() == [1, 0, 2]
    assert predicted_classes(SCORES.reshape(3, 1, 3)).tolist() == [1, 0, 2]
    assert predicted_classes(PROBABILITIES).tolist() == [1, 0, 1, 0]
    assert predicted_classes(PROBABILITIES[:, 0]).tolist() == [1, 0, 1, 0]


@given(st_np.arrays(np.float64, (7, 1), elements=st.floats(0, 1)))
def test_one_probability_decides_as_the_two_scores_that_it_stands_for(probabilities):
    scores = class_scores(probabilities)
    assert scores.shape == (7, 2)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    certain = probabilities[:, 0] != 0.5
    np.testing.assert_array_equal(predicted_classes(scores)[certain], predicted_classes(probabilities)[certain])


@pytest.mark.parametrize(
    ("labels", "predictions", "expected"),
    [
        ([1, 0, 2], SCORES, [1, 0, 2]),
        ([[1], [2], [2]], SCORES, [1, 2, 2]),
        ([1.0, 0.0, 2.0], SCORES, [1, 0, 2]),
        (np.eye(3)[[1, 0, 1]], SCORES, [1, 0, 1]),
        (np.eye(3, dtype=np.int64)[[1, 0, 1]].reshape(3, 1, 3), SCORES, [1, 0, 1]),
        ([True, False, True], SCORES[:, :2], [1, 0, 1]),
        ([1, 1, 0, 0], PROBABILITIES, [1, 1, 0, 0]),
        ([[1.0], [0.0], [1.0], [1.0]], PROBABILITIES, [1, 0, 1, 1]),
    ],
)
def test_labels_name_classes_in_many_forms(labels, predictions, expected):
    labels = np.array(labels).astype(np.int64) if np.array(labels).dtype == bool else np.array(labels)
    numbers = class_numbers(labels, predictions)
    assert numbers.tolist() == expected
    assert np.issubdtype(numbers.dtype, np.integer)


@given(st.integers(2, 9), st.data())
def test_one_hot_rows_name_the_class_that_they_were_made_of(num_classes, data):
    classes = np.array(data.draw(st.lists(st.integers(0, num_classes - 1), min_size=1)))
    rows = one_hot(classes, num_classes)
    assert rows.sum(axis=1).tolist() == [1] * len(classes)
    assert class_numbers(rows, np.zeros((len(classes), num_classes))).tolist() == classes.tolist()


def test_the_message_shows_a_label_and_what_was_expected():
    with pytest.raises(ExamplesError) as refused:
        require_labels(False, np.array([[7, 8], [0, 1]]), "a whole number")
    assert "labels of shape (2, 2) such as [7, 8]" in str(refused.value)
    assert "in each label a whole number" in str(refused.value)
    require_labels(True, np.array([1]), "a whole number")
