"""Smooth functions of two means, as the root of a mean: by the delta method and Student's t."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from slimline.core.evaluation.statistics.evidence import Evidence, MetricCounts, Question, mirrored, unknown
from slimline.core.evaluation.statistics.means import by_t

Pair = tuple[float, float]


@dataclass(frozen=True)
class SmoothStatistic:
    """A function whose slope, times the numbers, is a mean again (Oehlert, The American Statistician 46, 1992).

    Attributes:
      figure: From the means of the two numbers to the baseline's value and the candidate's.
      slopes: From the same to the derivatives of the candidate's value by both.
      baseline_slopes: From the same to the derivatives of the baseline's value; None where the baseline has none.
      higher_is_better: False for errors.
    """

    figure: Callable[[float, float], Pair]
    slopes: Callable[[float, float], Pair]
    baseline_slopes: Callable[[float, float], Pair] | None
    higher_is_better: bool = False

    def values(self, counts: MetricCounts) -> Pair:
        """Returns the baseline's value and the candidate's."""
        return self.figure(*counts.moments.means)

    def drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """By Student's t on the linear part of the difference."""
        moments = counts.moments
        before, after = self.values(counts)
        sign = -1 if self.higher_is_better else 1
        assert self.baseline_slopes is not None
        own, theirs = self.slopes(*moments.means), self.baseline_slopes(*moments.means)
        slopes = (sign * (own[0] - theirs[0]), sign * (own[1] - theirs[1]))
        # Where both are near one another, so are the slopes, and the part that differs is what is left.
        largest = slopes[1] ** 2 * moments.largest
        return self._by_slopes(counts, sign * (after - before), slopes, largest, moments.num_differing, question)

    def relative_drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """Not decided: the delta method of a ratio of roots has not been shown to hold its level."""
        return unknown(math.nan, "a relative limit on this metric can't be decided: give max_drop")

    def smallest(self, counts: MetricCounts, question: Question) -> Evidence:
        """By Student's t on the linear part of the candidate's value."""
        negative = replace(question, limit=-question.limit)
        return mirrored(self._own(counts, negative, -1))

    def largest(self, counts: MetricCounts, question: Question) -> Evidence:
        """The same, for errors."""
        return self._own(counts, question, 1)

    def _own(self, counts: MetricCounts, question: Question, sign: int) -> Evidence:
        moments = counts.moments
        by_b, by_c = (sign * slope for slope in self.slopes(*moments.means))
        largest = by_b**2 * moments.largest_b + by_c**2 * moments.largest_c
        value = sign * self.values(counts)[1]
        return self._by_slopes(counts, value, (by_b, by_c), largest, moments.number, question)

    @staticmethod
    def _by_slopes(
        counts: MetricCounts, value: float, slopes: Pair, largest: float, num_differing: int, question: Question
    ) -> Evidence:
        moments = counts.moments
        if not all(map(math.isfinite, (*slopes, value))):
            return unknown(value, "the figure has no finite slope here")
        (by_b, by_c), (b, c) = slopes, moments.means
        squares = by_b**2 * float(moments.bb) + by_c**2 * float(moments.cc) + 2 * by_b * by_c * float(moments.bc)
        # `by_t` takes the spread around its value; here it is around the linear part's mean.
        around = squares - moments.number * (by_b * b + by_c * c) ** 2 + moments.number * value**2
        return by_t(value, around, largest, num_differing, moments.number, question)
