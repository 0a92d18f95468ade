import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from slimline.core.evaluation.counting import Seen
from slimline.core.evaluation.metrics import METRICS, CustomMetric, find_metric, known_metric, metric_direction
from slimline.core.evaluation.statistics.evidence import MetricCounts
from slimline.errors import ConfigError, ExamplesError

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.4, 0.6]])
PROBABILITIES = np.array([[0.5], [0.49], [0.9], [0.0]])
SEEDS = st.integers(0, 10_000)
OWN = """
import numpy as np

def distance(labels, predictions):
    return np.abs(predictions[:, 0] - labels)

def one_number(labels, predictions):
    return 1.0

def column(labels, predictions):
    return np.zeros((len(labels), 1))

def not_finite(labels, predictions):
    return np.full(len(labels), np.nan)
"""


@pytest.fixture
def _own_code(tmp_path, monkeypatch):
    (tmp_path / "own_metrics.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def measure(name, labels, predictions, baseline=None, custom=()):
    metric = find_metric(name, custom)
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    seen = Seen(labels, predictions, predictions if baseline is None else np.asarray(baseline))
    return metric.statistic.values(counted(metric, seen))[1]


def counted(metric, *batches):
    counts = MetricCounts.empty()
    for seen in batches:
        found = metric.count(seen)
        if found.codes is not None:
            assert len(found.codes) == len(seen.labels)
            counts.joint.add(found.codes)
        if found.numbers is not None:
            counts.moments.add(*found.numbers)
    return counts


def draw(seed, classes, size=200):
    """Labels and scores that sum to one and are right more often than not."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.concatenate([np.arange(classes), random.integers(0, classes, size - classes)]))
    scores = random.random((size, classes)) + 0.8 * np.eye(classes)[labels]
    return labels, (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def macro(name, labels, decided, average="macro"):
    function = {
        "precision": reference.precision_score,
        "recall": reference.recall_score,
        "f1": reference.f1_score,
    }[name]
    return function(labels, decided, average=average, zero_division=0)


@pytest.mark.parametrize(
    "form", [lambda labels, _: labels, lambda labels, _: labels[:, None], lambda y, c: np.eye(c)[y]]
)
@pytest.mark.parametrize("classes", [3, 10])
@given(seed=SEEDS)
def test_several_classes_are_measured_as_scikit_learn_does(form, classes, seed):
    labels, scores = draw(seed, classes)
    decided, given_labels = scores.argmax(axis=1), form(labels, classes)
    assert measure("accuracy", given_labels, scores) == pytest.approx(reference.accuracy_score(labels, decided))
    for name in ("precision", "recall", "f1"):
        assert measure(name, given_labels, scores) == pytest.approx(macro(name, labels, decided))
    rows = scores.astype(np.float64)
    expected = reference.log_loss(labels, rows / rows.sum(axis=1, keepdims=True), labels=range(classes))
    assert measure("log_loss", given_labels, scores) == pytest.approx(expected)
    expected = reference.roc_auc_score(np.eye(classes)[labels], scores, average="macro")
    assert measure("auc", given_labels, scores) == pytest.approx(expected, abs=1 / 512)


@pytest.mark.parametrize("number", [1, 2, 5])
@given(seed=SEEDS)
def test_top_k_is_that_of_scikit_learn(number, seed):
    labels, scores = draw(seed, 10)
    expected = reference.top_k_accuracy_score(labels, scores, k=number, labels=range(10))
    assert measure(f"top_{number}_accuracy", labels, scores) == pytest.approx(expected)


@pytest.mark.parametrize("columns", [1, 2])
@given(seed=SEEDS)
def test_two_classes_are_measured_as_scikit_learn_does_of_the_positive_one(columns, seed):
    labels, scores = draw(seed, 2)
    positive = scores[:, 1]
    decided = positive >= 0.5
    predictions = positive[:, None] if columns == 1 else np.stack([1 - positive, positive], axis=1)
    assert measure("accuracy", labels, predictions) == pytest.approx(reference.accuracy_score(labels, decided))
    for name in ("precision", "recall", "f1"):
        assert measure(name, labels, predictions) == pytest.approx(macro(name, labels, decided, "binary"))
    assert measure("auc", labels, predictions) == pytest.approx(reference.roc_auc_score(labels, positive), abs=1 / 512)
    assert measure("log_loss", labels, predictions) == pytest.approx(
        reference.log_loss(labels, positive.astype(np.float64)), rel=1e-5
    )


@given(seed=SEEDS)
def test_classes_that_are_never_predicted_count_with_zero(seed):
    labels, scores = draw(seed, 4)
    scores[:, 3] = 0
    for name in ("precision", "recall", "f1"):
        assert measure(name, labels, scores) == pytest.approx(macro(name, labels, scores.argmax(axis=1)))


def test_without_any_hit_the_shares_are_zero():
    for name in ("precision", "recall", "f1"):
        assert measure(name, [0, 0], [[0.1], [0.2]]) == 0


def test_equal_scores_are_worth_half_a_pair_of_auc():
    assert measure("auc", [0, 1, 0, 1], [[0.5]] * 4) == 0.5
    assert measure("auc", [0, 1], [[0.2], [0.9]]) == 1
    assert measure("auc", [1, 0], [[0.2], [0.9]]) == 0


@given(seed=SEEDS, shape=st.sampled_from([(1,), (3,), (2, 2)]))
def test_errors_are_those_of_scikit_learn(seed, shape):
    random = np.random.default_rng(seed)
    labels, predictions = random.normal(size=(2, 50, *shape))
    flat = labels.reshape(50, -1), predictions.reshape(50, -1)
    squared = reference.mean_squared_error(*flat)
    assert measure("mean_absolute_error", labels, predictions) == pytest.approx(reference.mean_absolute_error(*flat))
    assert measure("mean_squared_error", labels, predictions) == pytest.approx(squared)
    assert measure("reconstruction_error", labels, predictions) == pytest.approx(squared)
    assert measure("root_mean_squared_error", labels, predictions) == pytest.approx(np.sqrt(squared))


def test_a_regression_of_one_number_takes_labels_of_one_dimension():
    assert measure("mean_absolute_error", [1, 2], [[3.0], [2.0]]) == 1
    assert measure("mean_squared_error", [[1], [2]], [[-1.0], [5.0]]) == 6.5


def test_errors_keep_the_precision_of_the_data():
    # float32 has no 16777217, and the square of 1e30 is too large for it.
    assert measure("mean_absolute_error", [16777217], np.array([[1.0]], np.float32)) == 16777216
    assert measure("mean_squared_error", [0], np.array([[1e30]], np.float32)) == pytest.approx(1e60)


@given(seed=SEEDS)
def test_agreement_and_sqnr_compare_with_the_baseline_and_not_with_labels(seed):
    random = np.random.default_rng(seed)
    baseline, predictions = random.random((2, 60, 4))
    labels = np.full(60, b"none", object)
    agreement = np.mean(baseline.argmax(axis=1) == predictions.argmax(axis=1))
    assert measure("agreement", labels, predictions, baseline) == pytest.approx(agreement)
    decibels = 10 * np.log10(np.square(baseline).sum() / np.square(predictions - baseline).sum())
    assert measure("sqnr_db", labels, predictions, baseline) == pytest.approx(decibels)


def test_sqnr_is_finite_where_nothing_differs_and_where_there_is_no_signal():
    assert measure("sqnr_db", [0, 1], SCORES[:2], SCORES[:2]) == pytest.approx(150)
    assert measure("sqnr_db", [0], np.ones((1, 3)), np.zeros((1, 3))) == pytest.approx(-300, abs=10)
    assert measure("sqnr_db", [0], np.zeros((1, 3)), np.zeros((1, 3))) == 0


@pytest.mark.parametrize("name", [*METRICS, "top_2_accuracy"])
@given(seed=SEEDS, cut=st.integers(1, 29))
def test_counts_of_batches_are_those_of_the_whole(name, seed, cut):
    random = np.random.default_rng(seed)
    labels = np.eye(4)[random.integers(0, 4, 30)]
    predictions, baseline = random.random((2, 30, 4), np.float32)
    metric = find_metric(name)
    parts = [Seen(labels[part], predictions[part], baseline[part]) for part in (slice(cut), slice(cut, None))]
    assert counted(metric, *parts) == counted(metric, Seen(labels, predictions, baseline))


@pytest.mark.parametrize(
    ("labels", "predictions", "expected"),
    [
        ([0, 1, 3], SCORES, "from 0 to 2"),
        ([0, 1, -1], SCORES, "from 0 to 2"),
        ([0, 1, 0.5], SCORES, "a whole number"),
        ([0, 1, np.nan], SCORES, "a whole number"),
        ([0, 1, np.inf], SCORES, "a whole number"),
        (np.array([b"cat", b"dog", b"cat"], object), SCORES, "a whole number"),
        (np.eye(2)[[0, 1, 0]], SCORES, "a row of 3 values"),
        ([0, 1, 2, 0], PROBABILITIES, "from 0 to 1"),
        (np.eye(2)[[0, 1, 0, 0]], PROBABILITIES, "from 0 to 1"),
        (np.array([b"1", b"0", b"1", b"0"], object), PROBABILITIES, "from 0 to 1"),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "top_1_accuracy", "f1", "auc", "log_loss"])
def test_labels_that_are_no_classes_are_refused(name, labels, predictions, expected):
    with pytest.raises(ExamplesError, match=expected):
        measure(name, labels, predictions)


@pytest.mark.parametrize("name", ["mean_absolute_error", "mean_squared_error", "root_mean_squared_error"])
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
def test_labels_that_can_not_be_compared_with_the_predictions_are_refused(name, labels):
    with pytest.raises(ExamplesError, match=r"3 number\(s\), as the model predicts"):
        measure(name, labels, SCORES)


def test_auc_of_one_class_is_refused():
    for labels in ([0, 0, 0, 0], [1, 1, 1, 1]):
        with pytest.raises(ExamplesError, match="labels of one class only"):
            measure("auc", labels, PROBABILITIES)


def test_top_k_of_fewer_classes_is_refused():
    assert measure("top_3_accuracy", [0, 1, 2], SCORES) == 1
    with pytest.raises(ExamplesError, match="top_4_accuracy of 3 classes"):
        measure("top_4_accuracy", [0, 1, 2], SCORES)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("acuracy", "Did you mean 'accuracy'"), ("top_0_accuracy", "top_<k>_accuracy"), ("top__accuracy", "top_<k>")],
)
def test_an_unknown_metric_is_refused(name, hint):
    assert not known_metric(name)
    with pytest.raises(ConfigError, match=hint):
        find_metric(name)


@pytest.mark.usefixtures("_own_code")
def test_a_metric_of_ones_own_is_the_mean_of_its_numbers():
    own = CustomMetric(name="distance", function="own_metrics.distance", higher_is_better=False)
    assert known_metric("distance", (own,))
    assert not metric_direction("distance", {"distance": own})
    assert not find_metric("distance", (own,)).higher_is_better
    assert measure("distance", [0.0, 1.0], [[2.0], [5.0]], custom=(own,)) == 3


@pytest.mark.usefixtures("_own_code")
@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("one_number", r"own_metrics.one_number, which returned an array of shape \(\)"),
        ("column", r"of shape \(2, 1\)"),
        ("not_finite", "one finite number for each of the 2 examples"),
        ("distanse", "Did you mean 'distance'"),
    ],
)
def test_a_metric_of_ones_own_that_gives_something_else_is_refused(function, found):
    own = CustomMetric(name="own", function=f"own_metrics.{function}")
    with pytest.raises(ConfigError, match=found):
        measure("own", [0.0, 1.0], [[2.0], [5.0]], custom=(own,))


@pytest.mark.parametrize(("function", "hint"), [("no_such.module", "no module 'no_such'"), ("distance", "dotted path")])
def test_a_function_that_can_not_be_imported_is_refused(function, hint):
    with pytest.raises(ConfigError, match=hint):
        find_metric("own", (CustomMetric(name="own", function=function),))


def test_errors_are_better_when_they_are_less():
    less = {name for name in METRICS if not metric_direction(name, {})}
    assert less == {
        "log_loss",
        "mean_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
        "reconstruction_error",
    }
    assert metric_direction("top_5_accuracy", {})


@pytest.mark.usefixtures("_own_code")
def test_numbers_out_of_the_range_that_was_given_are_refused():
    own = CustomMetric(name="distance", function="own_metrics.distance", higher_is_better=False)
    metric = find_metric("distance", (own,), {"distance": (0.0, 3.0)})
    seen = Seen(np.array([0.0]), np.array([[4.0]]), np.array([[1.0]]))
    with pytest.raises(ExamplesError, match="4 on one example, by the candidate"):
        metric.count(seen)
    with pytest.raises(ExamplesError, match="by the baseline"):
        find_metric("mean_absolute_error", (), {"mean_absolute_error": (0.0, 0.5)}).count(seen)
