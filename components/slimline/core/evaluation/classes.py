"""What scores and labels say: from any of the forms in which models and data give them, to class numbers."""

import numpy as np

from slimline.errors import ExamplesError


def class_scores(predictions: np.ndarray) -> np.ndarray:
    """Returns scores of shape (batch, classes); one probability becomes those of the classes 0 and 1."""
    scores = predictions.reshape(len(predictions), -1)
    return np.concatenate([1 - scores, scores], axis=1) if scores.shape[1] == 1 else scores


def predicted_classes(predictions: np.ndarray) -> np.ndarray:
    """Returns the class of the largest score, or for one probability 1 from one half on; of shape (batch,)."""
    scores = predictions.reshape(len(predictions), -1)
    return (scores[:, 0] >= 0.5).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(axis=1)


def class_numbers(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Returns the class that each label names, of shape (batch,).

    Args:
      labels: Class numbers of shape (batch,) or (batch, 1), or one-hot rows of shape (batch, classes).
      predictions: Scores of shape (batch, classes), or probabilities of class 1 of shape (batch, 1).

    Raises:
      ExamplesError: A label names no class.
    """
    num_scores = predictions.reshape(len(predictions), -1).shape[1]
    given = labels.reshape(len(labels), -1)
    if num_scores > 1 and given.shape[1] > 1:
        require_labels(given.shape[1] == num_scores, labels, f"a row of {num_scores} values, one per class")
        require_labels(_have_one_largest(given), labels, "a row of numbers of which one is the largest")
        return given.argmax(axis=1)
    num_classes = max(2, num_scores)
    numbers = given[:, 0]
    valid = given.shape[1] == 1 and (np.issubdtype(numbers.dtype, np.number) or numbers.dtype == bool)
    valid = valid and bool(((numbers >= 0) & (numbers < num_classes) & (numbers == np.floor(numbers))).all())
    require_labels(valid, labels, f"a whole number from 0 to {num_classes - 1}")
    return numbers.astype(np.int64)


def _have_one_largest(rows: np.ndarray) -> bool:
    numeric = np.issubdtype(rows.dtype, np.number) or rows.dtype == bool
    return bool(numeric and ((rows == rows.max(axis=1, keepdims=True)).sum(axis=1) == 1).all())


def one_hot(classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns rows of zeros with a one at each class, of shape (batch, classes)."""
    return np.eye(num_classes, dtype=np.int64)[classes]


def require_labels(valid: bool, labels: np.ndarray, expected: str) -> None:
    """Refuses labels that do not suit a metric.

    Raises:
      ExamplesError: They are not valid.
    """
    if not valid:
        raise ExamplesError(
            f"labels of shape {labels.shape} such as {labels.reshape(len(labels), -1)[0].tolist()}",
            f"in each label {expected}",
            "check label_key, and that the metric suits the task",
        )
