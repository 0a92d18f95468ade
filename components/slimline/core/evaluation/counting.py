"""What is counted of each example: joint outcomes of baseline and candidate, or a number of each."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from slimline.core.evaluation.classes import class_numbers, class_scores, one_hot, predicted_classes, require_labels
from slimline.core.evaluation.statistics.areas import area_codes
from slimline.core.evaluation.statistics.confusion import confusion_codes
from slimline.core.evaluation.statistics.means import Range
from slimline.core.evaluation.statistics.shares import share_codes
from slimline.core.evaluation.tasks import Task
from slimline.errors import ExamplesError

_SMALLEST = 1e-7
_SCORE_TOLERANCE = 1e-3
# Of what is right in an example that holds several decisions.
SHARE_RANGE = Range(0.0, 1.0)
# A probability counts as 1e-7 at least, so that one example's loss has an end.
LOG_LOSS_RANGE = Range(0.0, float(-np.log(_SMALLEST)))


@dataclass(frozen=True)
class Seen:
    """What a metric looks at.

    Attributes:
      labels: Of a batch, of shape (batch, …).
      predictions: Of the model that is measured, of shape (batch, …).
      baseline: Of the original model, of the same shape.
      task: What the predictions decide.
    """

    labels: np.ndarray
    predictions: np.ndarray
    baseline: np.ndarray
    task: Task = field(default_factory=Task)

    def as_probabilities(self) -> "Seen":
        """Returns the same with probabilities instead of logits."""
        given, baseline = self.task.probabilities(self.predictions), self.task.probabilities(self.baseline)
        return Seen(self.labels, given, baseline, Task(self.task.kind, source=self.task.source))


@dataclass(frozen=True)
class Counted:
    """What is counted of a batch.

    Attributes:
      codes: Joint outcomes, of shape (batch, …); None where there are none.
      numbers: The baseline's number and the candidate's of each example, each of shape (batch,); None likewise.
    """

    codes: np.ndarray | None = None
    numbers: tuple[np.ndarray, np.ndarray] | None = None


def accuracy(seen: Seen) -> Counted:
    """Counts whether each model names the label's class."""
    seen.task.require_scores(seen.baseline)
    seen = seen.as_probabilities()
    labels = class_numbers(seen.labels, seen.predictions)
    return Counted(
        share_codes(predicted_classes(seen.baseline) == labels, predicted_classes(seen.predictions) == labels)
    )


def top_k(number: int) -> Callable[[Seen], Counted]:
    """Returns a counter of whether the label is among the k largest scores.

    Args:
      number: k.
    """

    def count(seen: Seen) -> Counted:
        seen = seen.as_probabilities()
        labels = class_numbers(seen.labels, seen.predictions)[:, np.newaxis]
        best = [_best(scores, number) for scores in (seen.baseline, seen.predictions)]
        return Counted(share_codes(*((among == labels).any(axis=1) for among in best)))

    return count


def _best(predictions: np.ndarray, number: int) -> np.ndarray:
    scores = class_scores(predictions)
    if number > scores.shape[1]:
        raise ExamplesError(
            f"top_{number}_accuracy of {scores.shape[1]} classes", "a number up to that of classes", "lower it"
        )
    return np.argsort(-scores, axis=1, kind="stable")[:, :number]


def agreement(seen: Seen) -> Counted:
    """Counts whether the candidate decides as the baseline does, which always agrees with itself."""
    seen.task.require_scores(seen.baseline)
    seen = seen.as_probabilities()
    same = predicted_classes(seen.predictions) == predicted_classes(seen.baseline)
    return Counted(share_codes(np.ones(len(same), bool), same))


def accuracy_of_many(seen: Seen) -> Counted:
    """Takes the share of each example's decisions that are the label's."""
    seen.task.require_scores(seen.baseline)
    decided = [seen.task.decisions(scores) for scores in (seen.baseline, seen.predictions)]
    labels = _many_labels(seen, decided[0].shape[1])
    return _shares(*((one == labels).mean(axis=1) for one in decided))


def agreement_of_many(seen: Seen) -> Counted:
    """Takes the share of each example's decisions that are the baseline's."""
    seen.task.require_scores(seen.baseline)
    baseline, candidate = (seen.task.decisions(scores) for scores in (seen.baseline, seen.predictions))
    return _shares(np.ones(len(baseline)), (baseline == candidate).mean(axis=1))


def _shares(baseline: np.ndarray, candidate: np.ndarray) -> Counted:
    return Counted(SHARE_RANGE.codes(baseline, candidate, higher_is_better=True), (baseline, candidate))


def _many_labels(seen: Seen, num_decisions: int) -> np.ndarray:
    """Returns the label of each decision, of shape (batch, decisions): class numbers, or 0 and 1."""
    given, num_classes = seen.labels.reshape(len(seen.labels), -1), seen.predictions.shape[-1]
    if seen.task.kind == "per_position" and num_classes > 1 and given.shape[1] == num_decisions * num_classes:
        return np.asarray(given.reshape(len(given), num_decisions, num_classes).argmax(axis=-1))
    last = num_classes - 1 if seen.task.kind == "per_position" and num_classes > 1 else 1
    valid = given.shape[1] == num_decisions and (np.issubdtype(given.dtype, np.number) or given.dtype == bool)
    valid = valid and bool(((given >= 0) & (given <= last) & (given == np.floor(given))).all())
    require_labels(valid, seen.labels, f"{num_decisions} whole numbers from 0 to {last}")
    return given.astype(np.int64)


def confusion(seen: Seen) -> Counted:
    """Counts label, baseline's class and candidate's class."""
    seen.task.require_scores(seen.baseline)
    seen = seen.as_probabilities()
    num_classes = class_scores(seen.predictions).shape[1]
    labels = class_numbers(seen.labels, seen.predictions)
    decided = predicted_classes(seen.baseline), predicted_classes(seen.predictions)
    return Counted(confusion_codes(labels, *decided, num_classes))


def areas(seen: Seen) -> Counted:
    """Counts label, baseline's score and candidate's score of each class, in buckets."""
    seen = seen.as_probabilities()
    _require_probabilities(seen, "auc")
    baseline, candidate = class_scores(seen.baseline), class_scores(seen.predictions)
    labels = one_hot(class_numbers(seen.labels, seen.predictions), candidate.shape[1])
    first = 1 if candidate.shape[1] == 2 else 0
    return Counted(area_codes(labels[:, first:], baseline[:, first:], candidate[:, first:]))


def log_loss(seen: Seen) -> Counted:
    """Takes minus the logarithm of the label's probability."""
    seen = seen.as_probabilities()
    _require_probabilities(seen, "log_loss")
    labels = class_numbers(seen.labels, seen.predictions)
    baseline, candidate = (_losses(scores, labels) for scores in (seen.baseline, seen.predictions))
    codes = LOG_LOSS_RANGE.codes(baseline, candidate, higher_is_better=False)
    return Counted(codes, (baseline, candidate))


def _losses(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    scores = np.clip(class_scores(predictions).astype(np.float64), _SMALLEST, 1.0)
    chosen = scores[np.arange(len(labels)), labels] / scores.sum(axis=1)
    return np.asarray(-np.log(np.maximum(chosen, _SMALLEST)))


def _require_probabilities(seen: Seen, name: str) -> None:
    # Those of the baseline: what a candidate makes of them is what is measured.
    lowest, highest = float(seen.baseline.min()), float(seen.baseline.max())
    if lowest < -_SCORE_TOLERANCE or highest > 1 + _SCORE_TOLERANCE:
        raise ExamplesError(
            f"{name} of a model that gives numbers from {lowest:.4g} to {highest:.4g}",
            "probabilities",
            f"end the model with softmax or sigmoid, or leave {name} out",
        )


def absolute_error(seen: Seen) -> Counted:
    """Takes the mean absolute difference to the label."""
    return Counted(numbers=_errors(seen, np.abs))


def squared_error(seen: Seen) -> Counted:
    """Takes the mean squared difference to the label."""
    return Counted(numbers=_errors(seen, np.square))


def _errors(seen: Seen, size: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    wanted = seen.labels.reshape(len(seen.labels), -1)
    given = [scores.reshape(len(scores), -1).astype(np.float64) for scores in (seen.baseline, seen.predictions)]
    numeric = np.issubdtype(wanted.dtype, np.number)
    valid = numeric and wanted.shape == given[1].shape and bool(np.isfinite(wanted).all())
    require_labels(valid, seen.labels, f"{given[1].shape[1]} number(s), as the model predicts, all finite")
    baseline, candidate = (size(one - wanted.astype(np.float64)).mean(axis=1) for one in given)
    return baseline, candidate


def signal_and_noise(seen: Seen) -> Counted:
    """Takes the squares of the baseline's outputs, and those of the difference."""
    baseline = seen.baseline.reshape(len(seen.baseline), -1).astype(np.float64)
    noise = seen.predictions.reshape(len(baseline), -1).astype(np.float64) - baseline
    return Counted(numbers=(np.square(baseline).sum(axis=1), np.square(noise).sum(axis=1)))


def within(count: Callable[[Seen], Counted], limits: Range, name: str) -> Callable[[Seen], Counted]:
    """Returns a counter of errors that also counts them in steps of a known range.

    Raises:
      ExamplesError: When it counts: an error is out of the range.
    """

    def counted(seen: Seen) -> Counted:
        numbers = count(seen).numbers
        assert numbers is not None
        require_within(numbers, limits, name)
        return Counted(limits.codes(*numbers, higher_is_better=False), numbers)

    return counted


def require_within(numbers: tuple[np.ndarray, np.ndarray], limits: Range, name: str) -> None:
    """Refuses numbers out of the range that they are said to have.

    Raises:
      ExamplesError: One is.
    """
    for model, values in zip(("baseline", "candidate"), numbers, strict=True):
        outside = values[(values < limits.lowest) | (values > limits.highest)]
        if outside.size:
            raise ExamplesError(
                f"{name} of {outside[0]:.6g} on one example, by the {model}",
                f"a number from {limits.lowest:g} to {limits.highest:g}, as value_ranges says",
                "widen the range: bounds hold only where it does",
            )
