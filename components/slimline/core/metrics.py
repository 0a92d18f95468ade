"""Metrics as values per example, whose mean over the data is the metric.

Values per example add up over batches and workers, and they can be compared example by example.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slimline.errors import ExamplesError


@dataclass(frozen=True)
class Metric:
    """A metric and its direction.

    Attributes:
      values: From labels and predictions to one number per example.
      higher_is_better: False for errors.
    """

    values: Callable[[np.ndarray, np.ndarray], np.ndarray]
    higher_is_better: bool


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Returns 1 for each example whose predicted class is the label, else 0.

    Args:
      labels: Class numbers of shape (batch,) or (batch, 1), or one-hot rows of shape (batch, classes).
      predictions: Scores of shape (batch, classes), or probabilities of class 1 of shape (batch, 1).
    """
    scores = predictions.reshape(len(predictions), -1)
    classes = labels.reshape(len(labels), -1)
    if scores.shape[1] == 1:
        _require(classes.shape[1] == 1 and bool(np.isin(classes, (0, 1)).all()), labels, "0 or 1, for one probability")
        return ((scores[:, 0] >= 0.5) == (classes[:, 0] == 1)).astype(np.float64)
    if classes.shape[1] == 1:
        numbers = classes[:, 0]
        valid = np.issubdtype(numbers.dtype, np.number) and bool(
            ((numbers >= 0) & (numbers < scores.shape[1]) & (numbers == np.floor(numbers))).all()
        )
        _require(valid, labels, f"a whole number from 0 to {scores.shape[1] - 1}")
        return (scores.argmax(axis=1) == numbers).astype(np.float64)
    _require(classes.shape == scores.shape, labels, f"a row of {scores.shape[1]} values, one per class")
    return (scores.argmax(axis=1) == classes.argmax(axis=1)).astype(np.float64)


def absolute_error(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Returns each example's mean absolute difference between label and prediction."""
    return np.abs(_differences(labels, predictions)).mean(axis=1)


def squared_error(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Returns each example's mean squared difference between label and prediction."""
    return np.square(_differences(labels, predictions)).mean(axis=1)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, higher_is_better=True),
    "mean_absolute_error": Metric(absolute_error, higher_is_better=False),
    "mean_squared_error": Metric(squared_error, higher_is_better=False),
}


def drop(metric: str, baseline: float, candidate: float) -> float:
    """Returns by how much the candidate is worse than the baseline, in the metric's unit; negative when better."""
    return baseline - candidate if METRICS[metric].higher_is_better else candidate - baseline


def _differences(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    wanted = labels.reshape(len(labels), -1)
    given = predictions.reshape(len(predictions), -1)
    numeric = np.issubdtype(wanted.dtype, np.number)
    valid = numeric and wanted.shape == given.shape and bool(np.isfinite(wanted).all())
    _require(valid, labels, f"{given.shape[1]} number(s), as the model predicts, all finite")
    return given.astype(np.float64) - wanted.astype(np.float64)


def _require(valid: bool, labels: np.ndarray, expected: str) -> None:
    if not valid:
        raise ExamplesError(
            f"labels of shape {labels.shape} such as {labels.reshape(len(labels), -1)[0].tolist()}",
            f"in each label {expected}",
            "check label_key, and that the metric suits the task",
        )
