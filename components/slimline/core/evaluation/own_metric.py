"""Metrics of the user's own: the mean of what a function returns for each example."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from slimline.core.evaluation.counting import Counted, Seen, require_within
from slimline.core.evaluation.statistics.evidence import Evidence, MetricCounts, Question, Statistic
from slimline.core.evaluation.statistics.means import MeanStatistic, Range
from slimline.core.evaluation.statistics.shares import ShareStatistic, share_codes
from slimline.errors import ConfigError

# Of an example whose number is neither 0 nor 1; no other code is negative of that size.
_OTHER = -(1 << 62)
# Codes of shares lie below those of steps, which begin here.
_OFFSET = 1 << 40


def own_counter(
    function: Callable[..., Any], path: str, limits: Range | None, *, higher_is_better: bool
) -> Callable[[Seen], Counted]:
    """Returns a counter of what a function says of each example.

    Args:
      function: Of (labels, predictions), each of shape (batch, …).
      path: Its dotted path, for messages.
      limits: Smallest and largest number that it returns, if they are known.
      higher_is_better: False for errors.
    """

    def numbers_of(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        values = np.asarray(function(labels, predictions), np.float64)
        if values.shape != (len(labels),) or not np.isfinite(values).all():
            raise ConfigError(
                f"{path}, which returned an array of shape {values.shape}",
                f"one finite number for each of the {len(labels)} examples",
                "correct what the function returns",
            )
        return values

    def count(seen: Seen) -> Counted:
        numbers = numbers_of(seen.labels, seen.baseline), numbers_of(seen.labels, seen.predictions)
        binary = [np.isin(values, (0.0, 1.0)) for values in numbers]
        outcomes = share_codes(numbers[0] == 1, numbers[1] == 1)
        codes = np.where(binary[0] & binary[1], outcomes, _OTHER)[:, np.newaxis]
        if limits is not None:
            require_within(numbers, limits, path)
            steps = limits.codes(*numbers, higher_is_better=higher_is_better)
            codes = np.concatenate([codes, steps + 3 * _OFFSET], axis=1)
        return Counted(codes, numbers)

    return count


@dataclass(frozen=True)
class OwnStatistic:
    """A share if all numbers are zeros and ones, else a mean.

    Attributes:
      higher_is_better: False for errors.
      range: Of the numbers, if it is known.
    """

    higher_is_better: bool
    range: Range | None

    def values(self, counts: MetricCounts) -> tuple[float, float]:
        """Returns the baseline's mean and the candidate's."""
        return counts.moments.means

    def drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """As the statistic that fits."""
        statistic, fitting = self._fitting(counts)
        return statistic.drop(fitting, question)

    def relative_drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """As the statistic that fits."""
        statistic, fitting = self._fitting(counts)
        return statistic.relative_drop(fitting, question)

    def smallest(self, counts: MetricCounts, question: Question) -> Evidence:
        """As the statistic that fits."""
        statistic, fitting = self._fitting(counts)
        return statistic.smallest(fitting, question)

    def largest(self, counts: MetricCounts, question: Question) -> Evidence:
        """As the statistic that fits."""
        statistic, fitting = self._fitting(counts)
        return statistic.largest(fitting, question)

    def _fitting(self, counts: MetricCounts) -> tuple[Statistic, MetricCounts]:
        fitting = MetricCounts.empty()
        fitting.moments = counts.moments
        if _OTHER not in counts.joint.by_code:
            fitting.joint.by_code = {code: counts.joint.by_code.get(code, 0) for code in range(4)}
            return ShareStatistic(self.higher_is_better), fitting
        half = _OFFSET
        fitting.joint.by_code = {
            code - 3 * _OFFSET: number for code, number in counts.joint.by_code.items() if code > half
        }
        return MeanStatistic(self.higher_is_better, self.range), fitting
