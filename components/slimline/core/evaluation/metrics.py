"""Metrics as sums over examples, from which their values follow.

Sums add up over batches, files and workers in any order. Every metric is made of rows, one per example, and a function
from the sum of the rows to the value: accuracy's row is 1 or 0, that of F1 counts hits, predictions and labels of each
class, that of AUC puts each score into a bucket.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from slimline.core.config import Config
from slimline.core.evaluation.decisions import class_numbers, class_scores, decide, one_hot, require_labels
from slimline.core.user_code import load_function
from slimline.errors import ConfigError, ExamplesError, near_miss

# Scores of AUC are counted in this many buckets of equal width, so that its error is at most about 1 / 1024.
_NUM_BUCKETS = 512
_SMALLEST = 1e-7
_SCORE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Outcome:
    """What a metric looks at.

    Attributes:
      labels: Of a batch, of shape (batch, …).
      predictions: Of the model that is measured, of shape (batch, …).
      baseline: Of the original model, of the same shape.
    """

    labels: np.ndarray
    predictions: np.ndarray
    baseline: np.ndarray


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
      rows: From a batch to an array of shape (batch, columns), whose sum over all examples determines the value.
      value: From the sum of shape (columns,) and the number of examples to the value.
      higher_is_better: False for errors.
      kind: `binary` for the mean of zeros and ones, `mean` for the mean of other numbers, `ratio` for the rest. It says
        which confidence interval fits.
      counts: Whether all rows are whole numbers, whose sums are exact.
      of_baseline: The baseline's own value, where the metric compares with the baseline; None where it is measured.
    """

    rows: Callable[[Outcome], np.ndarray]
    value: Callable[[np.ndarray, int], float]
    higher_is_better: bool = True
    kind: Literal["binary", "mean", "ratio"] = "mean"
    counts: bool = False
    of_baseline: float | None = None


class CustomMetric(Config):
    """A metric of the user's own: the mean of one number per example.

    Attributes:
      name: By which thresholds refer to it.
      function: Dotted path of a function of (labels, predictions), arrays of shape (batch, …), that returns an array of
        shape (batch,).
      higher_is_better: False for errors.
    """

    name: str = Field(min_length=1)
    function: str
    higher_is_better: bool = True


def _mean(total: np.ndarray, num_examples: int) -> float:
    return float(total[0]) / num_examples


def _accuracy(outcome: Outcome) -> np.ndarray:
    return (decide(outcome.predictions) == class_numbers(outcome.labels, outcome.predictions))[:, np.newaxis]


def _top_k(number: int) -> Callable[[Outcome], np.ndarray]:
    def rows(outcome: Outcome) -> np.ndarray:
        scores = class_scores(outcome.predictions)
        if number > scores.shape[1]:
            raise ExamplesError(
                f"top_{number}_accuracy of {scores.shape[1]} classes", "a number up to that of classes", "lower it"
            )
        labels = class_numbers(outcome.labels, outcome.predictions)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :number]
        return (best == labels[:, np.newaxis]).any(axis=1, keepdims=True)

    return rows


def _log_loss(outcome: Outcome) -> np.ndarray:
    _require_probabilities(outcome, "log_loss")
    scores = class_scores(outcome.predictions).astype(np.float64)
    labels = class_numbers(outcome.labels, outcome.predictions)
    scores = np.clip(scores, _SMALLEST, 1.0)
    chosen = scores[np.arange(len(labels)), labels] / scores.sum(axis=1)
    return -np.log(chosen)[:, np.newaxis]


def _require_probabilities(outcome: Outcome, name: str) -> None:
    # Those of the baseline: what a candidate makes of them is what is measured.
    lowest, highest = float(outcome.baseline.min()), float(outcome.baseline.max())
    if lowest < -_SCORE_TOLERANCE or highest > 1 + _SCORE_TOLERANCE:
        raise ExamplesError(
            f"{name} of a model that gives numbers from {lowest:.4g} to {highest:.4g}",
            "probabilities",
            f"end the model with softmax or sigmoid, or leave {name} out",
        )


def _confusion(outcome: Outcome) -> np.ndarray:
    """Hits, predictions and labels of each class: of the positive one alone when there are two."""
    num_classes = class_scores(outcome.predictions).shape[1]
    predicted = one_hot(decide(outcome.predictions), num_classes)
    labels = one_hot(class_numbers(outcome.labels, outcome.predictions), num_classes)
    parts = [predicted * labels, predicted, labels]
    return np.concatenate([part[:, 1:] if num_classes == 2 else part for part in parts], axis=1)


def _precision(total: np.ndarray, _: int) -> float:
    hits, predicted, labels = np.split(np.asarray(total, np.float64), 3)
    return _macro(hits, predicted, predicted + labels)


def _recall(total: np.ndarray, _: int) -> float:
    hits, predicted, labels = np.split(np.asarray(total, np.float64), 3)
    return _macro(hits, labels, predicted + labels)


def _f1(total: np.ndarray, _: int) -> float:
    hits, predicted, labels = np.split(np.asarray(total, np.float64), 3)
    return _macro(2 * hits, predicted + labels, predicted + labels)


def _macro(part: np.ndarray, whole: np.ndarray, occurrences: np.ndarray) -> float:
    """Returns the mean over the classes that occur, as scikit-learn does with zero for an empty denominator."""
    shares = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    present = occurrences > 0
    return float(shares[present].mean()) if present.any() else 0.0


def _score_buckets(outcome: Outcome) -> np.ndarray:
    scores = class_scores(outcome.predictions)
    _require_probabilities(outcome, "auc")
    labels = one_hot(class_numbers(outcome.labels, outcome.predictions), scores.shape[1])
    if scores.shape[1] == 2:
        scores, labels = scores[:, 1:], labels[:, 1:]
    buckets = np.clip((scores * _NUM_BUCKETS).astype(np.int64), 0, _NUM_BUCKETS - 1)
    rows = np.zeros((len(scores), scores.shape[1], 2, _NUM_BUCKETS), np.int64)
    example, column = np.indices(scores.shape)
    rows[example, column, labels.astype(np.int64), buckets] = 1
    return rows.reshape(len(scores), -1)


def _auc(total: np.ndarray, _: int) -> float:
    """Returns the area under the ROC curve, the mean over classes against the rest (Hanley and McNeil 1982)."""
    areas = []
    for negatives, positives in np.asarray(total, np.float64).reshape(-1, 2, _NUM_BUCKETS):
        pairs = negatives.sum() * positives.sum()
        if pairs:
            below = np.cumsum(negatives) - negatives
            areas.append(float((positives * (below + negatives / 2)).sum() / pairs))
    if not areas:
        raise ExamplesError(
            "labels of one class only", "examples of both classes, which AUC compares", "leave auc out, or add examples"
        )
    return float(np.mean(areas))


def _absolute_error(outcome: Outcome) -> np.ndarray:
    return np.abs(_differences(outcome)).mean(axis=1, keepdims=True)


def _squared_error(outcome: Outcome) -> np.ndarray:
    return np.square(_differences(outcome)).mean(axis=1, keepdims=True)


def _differences(outcome: Outcome) -> np.ndarray:
    wanted = outcome.labels.reshape(len(outcome.labels), -1)
    given = outcome.predictions.reshape(len(outcome.predictions), -1)
    numeric = np.issubdtype(wanted.dtype, np.number)
    valid = numeric and wanted.shape == given.shape and bool(np.isfinite(wanted).all())
    require_labels(valid, outcome.labels, f"{given.shape[1]} number(s), as the model predicts, all finite")
    return given.astype(np.float64) - wanted.astype(np.float64)


def _agreement(outcome: Outcome) -> np.ndarray:
    return (decide(outcome.predictions) == decide(outcome.baseline))[:, np.newaxis]


def _signal_and_noise(outcome: Outcome) -> np.ndarray:
    baseline = outcome.baseline.reshape(len(outcome.baseline), -1).astype(np.float64)
    noise = outcome.predictions.reshape(len(baseline), -1).astype(np.float64) - baseline
    return np.stack([np.square(baseline).sum(axis=1), np.square(noise).sum(axis=1)], axis=1)


def _decibels(total: np.ndarray, _: int) -> float:
    signal, noise = float(total[0]), float(total[1])
    # A model that differs nowhere has no noise: the figure ends where float32 does.
    return float(10 * np.log10(max(signal, 1e-30) / max(noise, signal * 1e-15, 1e-30)))


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_accuracy, _mean, kind="binary", counts=True),
    "precision": Metric(_confusion, _precision, kind="ratio", counts=True),
    "recall": Metric(_confusion, _recall, kind="ratio", counts=True),
    "f1": Metric(_confusion, _f1, kind="ratio", counts=True),
    "auc": Metric(_score_buckets, _auc, kind="ratio", counts=True),
    "log_loss": Metric(_log_loss, _mean, higher_is_better=False),
    "mean_absolute_error": Metric(_absolute_error, _mean, higher_is_better=False),
    "mean_squared_error": Metric(_squared_error, _mean, higher_is_better=False),
    "root_mean_squared_error": Metric(
        _squared_error, lambda total, number: float(np.sqrt(_mean(total, number))), higher_is_better=False, kind="ratio"
    ),
    # Of a model whose label is its input (`label_is_input`).
    "reconstruction_error": Metric(_squared_error, _mean, higher_is_better=False),
    "agreement": Metric(_agreement, _mean, kind="binary", counts=True, of_baseline=1.0),
    "sqnr_db": Metric(_signal_and_noise, _decibels, kind="ratio", of_baseline=float("nan")),
}
_TOP_K = re.compile(r"top_([1-9]\d*)_accuracy")


def known_metric(name: str, custom: Sequence[CustomMetric] = ()) -> bool:
    """Returns whether there is a metric of a name."""
    return name in METRICS or _TOP_K.fullmatch(name) is not None or any(own.name == name for own in custom)


def metric_direction(name: str, custom: Mapping[str, CustomMetric]) -> bool:
    """Returns whether more of a metric is better, without loading any code of the user's."""
    if name in custom:
        return custom[name].higher_is_better
    return METRICS[name].higher_is_better if name in METRICS else True


def find_metric(name: str, custom: Sequence[CustomMetric] = ()) -> Metric:
    """Returns a metric by its name: one of `METRICS`, `top_3_accuracy` with any number, or one of the user's own.

    Raises:
      ConfigError: There is none of that name, or its function can't be imported.
    """
    for own in custom:
        if own.name == name:
            return _custom(own)
    if match := _TOP_K.fullmatch(name):
        return Metric(_top_k(int(match[1])), _mean, kind="binary", counts=True)
    if name not in METRICS:
        raise ConfigError(
            f"the metric {name!r}",
            f"one of {', '.join(METRICS)}, top_<k>_accuracy",
            f"correct the name.{near_miss(name, METRICS)}",
        )
    return METRICS[name]


def _custom(own: CustomMetric) -> Metric:
    function = load_function(own.function, f"function of the metric {own.name!r}")

    def rows(outcome: Outcome) -> np.ndarray:
        values = np.asarray(function(outcome.labels, outcome.predictions), np.float64)
        if values.shape != (len(outcome.labels),) or not np.isfinite(values).all():
            raise ConfigError(
                f"{own.function}, which returned an array of shape {values.shape}",
                f"one finite number for each of the {len(outcome.labels)} examples",
                "correct what the function returns",
            )
        return values[:, np.newaxis]

    return Metric(rows, _mean, higher_is_better=own.higher_is_better)
