import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.metrics import METRICS, absolute_error, accuracy, drop, squared_error
from slimline.errors import ExamplesError

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.4, 0.6]])
PROBABILITIES = np.array([[0.5], [0.49], [0.9], [0.0]])


@pytest.mark.parametrize(
    ("labels", "predictions", "expected"),
    [
        ([1, 0, 2], SCORES, [1, 1, 1]),
        ([0, 0, 1], SCORES, [0, 1, 0]),
        ([[1], [2], [2]], SCORES, [1, 0, 1]),
        ([1.0, 0.0, 0.0], SCORES, [1, 1, 0]),
        (np.eye(3)[[1, 0, 1]], SCORES, [1, 1, 0]),
        ([1, 2, 0], SCORES.reshape(3, 1, 3), [1, 0, 0]),
        ([1, 1, 0, 0], PROBABILITIES, [1, 0, 0, 1]),
        ([[1.0], [0.0], [1.0], [1.0]], PROBABILITIES, [1, 1, 1, 0]),
    ],
)
def test_accuracy_of_each_example(labels, predictions, expected):
    assert accuracy(np.array(labels), predictions).tolist() == expected


@pytest.mark.parametrize(
    ("labels", "predictions", "absolute", "squared"),
    [
        ([1, 2], [[3.0], [2.0]], [2, 0], [4, 0]),
        ([[1], [2]], [[-1.0], [5.0]], [2, 3], [4, 9]),
        ([[1, 2], [0, 0]], [[2.0, 5.0], [0.0, -4.0]], [2, 2], [5, 8]),
        ([[[1], [2]]], [[[2.0], [5.0]]], [2], [5]),
    ],
)
def test_errors_of_each_example_are_means_over_its_outputs(labels, predictions, absolute, squared):
    assert absolute_error(np.array(labels), np.array(predictions)).tolist() == absolute
    assert squared_error(np.array(labels), np.array(predictions)).tolist() == squared


def test_errors_keep_the_precision_of_the_data():
    """float32 has no 16777217, and the square of 1e30 is too large for it."""
    assert absolute_error(np.array([16777217]), np.array([[1.0]], np.float32)).tolist() == [16777216]
    assert squared_error(np.array([0]), np.array([[1e30]], np.float32)) == pytest.approx([1e60])


@pytest.mark.parametrize("metric", METRICS)
@given(data=st.data())
def test_batches_add_up_to_the_whole(metric, data):
    size, cut = data.draw(st.integers(2, 30)), data.draw(st.integers(1, 29))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    labels, predictions = random.integers(0, 2, (size, 4)), random.random((size, 4), np.float32)
    values = METRICS[metric].values
    parts = [values(labels[part], predictions[part]) for part in (slice(cut), slice(cut, None)) if labels[part].size]
    assert np.concatenate(parts).tolist() == values(labels, predictions).tolist()
    assert values(labels, predictions).shape == (size,)


@pytest.mark.parametrize(
    ("metric", "worse"), [("accuracy", -0.25), ("mean_absolute_error", 0.25), ("mean_squared_error", 0.25)]
)
def test_a_drop_is_positive_when_the_candidate_is_worse(metric, worse):
    assert drop(metric, 0.5, 0.5 + worse) == 0.25
    assert drop(metric, 0.5, 0.5 - worse) == -0.25
    assert drop(metric, 0.5, 0.5) == 0


@pytest.mark.parametrize(
    ("labels", "predictions", "expected"),
    [
        ([0, 1, 3], SCORES, "from 0 to 2"),
        ([0, 1, -1], SCORES, "from 0 to 2"),
        ([0, 1, 0.5], SCORES, "a whole number"),
        ([0, 1, np.nan], SCORES, "a whole number"),
        (np.array([b"cat", b"dog", b"cat"], object), SCORES, "a whole number"),
        (np.eye(2)[[0, 1, 0]], SCORES, "a row of 3 values"),
        ([0, 1, 2, 0], PROBABILITIES, "0 or 1"),
        (np.eye(2)[[0, 1, 0, 0]], PROBABILITIES, "0 or 1"),
        (np.array([b"1", b"0", b"1", b"0"], object), PROBABILITIES, "0 or 1"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, predictions, expected):
    with pytest.raises(ExamplesError, match=expected):
        accuracy(np.array(labels), predictions)


@pytest.mark.parametrize("error", [absolute_error, squared_error])
@pytest.mark.parametrize(
    "labels",
    [
        [1, 2, 0],
        np.eye(4)[:3],
        np.array([[b"x"] * 3] * 3, object),
        [[0, 0, 0], [0, np.nan, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, -np.inf]],
    ],
)
def test_labels_that_can_not_be_compared_with_the_predictions_are_refused(error, labels):
    with pytest.raises(ExamplesError, match=r"3 number\(s\), as the model predicts"):
        error(np.array(labels), SCORES)
