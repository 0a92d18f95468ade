"""Oracles are scikit-learn's metrics and Keras' own of the same predictions."""

import numpy as np
import pytest
import tf_keras
from sklearn import metrics as reference

from slimline.core.evaluation.counting import Seen
from slimline.core.evaluation.metrics import find_metric
from slimline.core.evaluation.statistics.evidence import MetricCounts, Question
from slimline.core.evaluation.tasks import Task, find_task
from slimline.errors import ConfigError, ExamplesError

RANDOM = np.random.default_rng(0)
LAYERS, LOSSES = tf_keras.layers, tf_keras.losses


def counts_of(name, task, labels, predictions, baseline=None):
    metric, counts = find_metric(name, task=task), MetricCounts.empty()
    found = metric.count(Seen(labels, predictions, predictions if baseline is None else baseline, task))
    if found.codes is not None:
        counts.joint.add(found.codes)
    if found.numbers is not None:
        counts.moments.add(*found.numbers)
    return metric.statistic, counts


def value(name, task, labels, predictions, baseline=None):
    statistic, counts = counts_of(name, task, labels, predictions, baseline)
    return statistic.values(counts)[1]


def model(shape, loss=None, activation=None, units=1):
    inputs = LAYERS.Input(shape)
    made = tf_keras.Model(inputs, LAYERS.Dense(units, activation=activation, name="out")(inputs))
    if loss is not None:
        made.compile("sgd", loss)
    return made


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (model((4,), "binary_crossentropy", "sigmoid"), "binary"),
        (model((4,), LOSSES.BinaryCrossentropy(from_logits=True)), "binary_logits"),
        (model((4,), "binary_crossentropy", "sigmoid", 3), "multilabel"),
        (model((4,), None, "sigmoid", 3), "multilabel"),
        (model((4,), LOSSES.SparseCategoricalCrossentropy(from_logits=True), None, 3), "multiclass_logits"),
        (model((4,), {"out": "categorical_crossentropy"}, "softmax", 3), "multiclass"),
        (model((8, 8, 4), "sparse_categorical_crossentropy", "softmax", 3), "per_position"),
        (model((8, 8, 4), LOSSES.BinaryCrossentropy(from_logits=True)), "per_position_logits"),
        (model((12, 4), None, "softmax", 3), "per_position"),
        (model((4,), "mse", None, 4), "regression"),
        (model((4,), LOSSES.Huber()), "regression"),
        (model((4,), None, "softmax", 3), "multiclass"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_the_task_is_found_from_the_model(made, name):
    assert find_task(made, "out", None).name == name
    assert find_task(made, "out", "binary_logits") == Task("binary", True, "as was said")


def test_logits_are_decided_at_zero():
    scores = RANDOM.normal(size=(300, 1))
    labels = (scores[:, 0] + RANDOM.normal(size=300) > 0).astype(np.int64)
    task = Task("binary", from_logits=True)
    decided, probabilities = scores[:, 0] >= 0, 1 / (1 + np.exp(-scores[:, 0]))
    assert value("accuracy", task, labels, scores) == pytest.approx(reference.accuracy_score(labels, decided))
    assert value("f1", task, labels, scores) == pytest.approx(reference.f1_score(labels, decided))
    assert value("auc", task, labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores), abs=1 / 512)
    assert value("log_loss", task, labels, scores) == pytest.approx(reference.log_loss(labels, probabilities))
    perfect = (scores[:, 0] > 0).astype(np.int64)
    assert value("accuracy", task, perfect, scores) == 1


def test_logits_that_nobody_told_are_refused_instead_of_misjudged():
    scores = RANDOM.normal(size=(300, 1))
    with pytest.raises(ExamplesError, match="binary_logits"):
        value("accuracy", Task("binary"), (scores[:, 0] > 0).astype(np.int64), scores)


def test_a_candidate_that_always_loses_one_tag_does_not_agree():
    baseline = RANDOM.random((200, 5))
    baseline[:, 3], baseline[:, 0] = 0.65, 0.95
    candidate = baseline.copy()
    candidate[:, 3] = 0.01
    task = Task("multilabel")
    assert value("agreement", task, baseline > 0.5, candidate, baseline) == pytest.approx(0.8)
    labels = RANDOM.integers(0, 2, (200, 5))
    expected = 1 - reference.hamming_loss(labels, candidate >= 0.5)
    assert value("accuracy", task, labels, candidate, baseline) == pytest.approx(expected)


@pytest.mark.parametrize("form", ["numbers", "flat", "one-hot"])
def test_every_position_is_decided(form):
    baseline = RANDOM.random((40, 6, 6, 3))
    candidate = baseline + RANDOM.normal(scale=0.3, size=baseline.shape)
    classes = RANDOM.integers(0, 3, (40, 6, 6))
    labels = {"numbers": classes, "flat": classes.reshape(40, -1), "one-hot": np.eye(3)[classes]}[form]
    decided, task = candidate.argmax(-1), Task("per_position")
    expected = reference.accuracy_score(classes.ravel(), decided.ravel())
    assert value("accuracy", task, labels, candidate, baseline) == pytest.approx(expected)
    same = reference.accuracy_score(baseline.argmax(-1).ravel(), decided.ravel())
    assert value("agreement", task, labels, candidate, baseline) == pytest.approx(same)


def test_an_example_is_the_unit_however_many_positions_it_has():
    """Positions of one example are alike: 30 examples of 400 positions are 30 observations, not 12,000."""
    baseline = np.tile(np.array([0.9, 0.1]), (30, 20, 20, 1))
    labels = np.zeros((30, 20, 20), np.int64)
    statistic, counts = counts_of("accuracy", Task("per_position"), labels, baseline)
    assert statistic.drop(counts, Question(0.01, 0.95, 1.0, False)).tail > 0.05
    assert statistic.drop(counts, Question(0.2, 0.95, 1.0, False)).tail < 0.05


@pytest.mark.parametrize(
    ("name", "task", "way_out"),
    [
        ("f1", Task("multilabel"), "accuracy, agreement"),
        ("auc", Task("per_position"), "accuracy, agreement"),
        ("top_3_accuracy", Task("multilabel"), "accuracy, agreement"),
        ("agreement", Task("regression"), "sqnr_db"),
        ("accuracy", Task("regression", source="as was said"), "mean_absolute_error"),
    ],
)
def test_a_metric_that_a_task_does_not_have_is_refused_with_those_that_it_has(name, task, way_out):
    with pytest.raises(ConfigError) as refused:
        find_metric(name, task=task)
    assert way_out in refused.value.expected
    find_metric("sqnr_db", task=task)
