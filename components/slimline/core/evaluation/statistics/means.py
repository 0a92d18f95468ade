"""Means of numbers: errors, losses, and metrics of the user's own.

Where the numbers have a known range, Gaffke's bound holds whatever they are. Where they have none, one example that
nobody saw could be as bad as it likes, and no method can exclude that; then Student's t is used, and said so, if enough
examples differ and no few of them make up the whole difference. Else nothing is decided.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from slimline.core.evaluation.statistics.anytime import anytime_bound, anytime_tail
from slimline.core.evaluation.statistics.evidence import Evidence, MetricCounts, Question, from_draws, mirrored, unknown
from slimline.core.evaluation.statistics.reweighting import draw_weights, pieces, seed_of

# Numbers of a known range are counted in steps of this share of it, rounded against the candidate.
_NUM_STEPS = 1 << 16
# Twice the number of independent examples from which textbooks trust Student's t for numbers that are not normal.
_MIN_DIFFERING = 60
# Share of all squares that one example may make up.
_MAX_SHARE = 0.1
# A number that stands on a step must not be lifted to the next by a hair.
_HAIR = 1e-9
_WORSE, _CANDIDATE, _BASELINE = 0, 1, 2
_NUM_KINDS = 3


@dataclass(frozen=True)
class Range:
    """Smallest and largest number that an example can have.

    Attributes:
      lowest: Smallest.
      highest: Largest.
    """

    lowest: float
    highest: float

    @property
    def step(self) -> float:
        """Width of the steps that numbers are counted in."""
        return (self.highest - self.lowest) / _NUM_STEPS

    def codes(self, baseline: np.ndarray, candidate: np.ndarray, *, higher_is_better: bool) -> np.ndarray:
        """Returns three codes an example, of shape (batch, 3), each rounded against the candidate.

        How much worse it became, the candidate's own loss, and the baseline's, of shape (batch,) each before.
        """
        sign = -1 if higher_is_better else 1
        worse = np.ceil(sign * (candidate - baseline) / self.step - _HAIR)
        candidates = np.ceil(sign * candidate / self.step - _HAIR)
        baselines = np.floor(sign * baseline / self.step + _HAIR)
        kinds = (worse * _NUM_KINDS + _WORSE, candidates * _NUM_KINDS + _CANDIDATE, baselines * _NUM_KINDS + _BASELINE)
        return np.stack(kinds, axis=1).astype(np.int64)


@dataclass(frozen=True)
class MeanStatistic:
    """A mean.

    Attributes:
      higher_is_better: False for errors.
      range: Of the numbers, if it is known.
    """

    higher_is_better: bool = False
    range: Range | None = None

    def values(self, counts: MetricCounts) -> tuple[float, float]:
        """Returns the baseline's mean and the candidate's."""
        return counts.moments.means

    def drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """By random weights within the range, else by Student's t."""
        moments = counts.moments
        before, after = moments.means
        value = self._sign * (after - before)
        if self.range is None:
            return by_t(value, float(moments.dd), moments.largest, moments.num_differing, moments.number, question)
        reach = self.range.highest - self.range.lowest
        return self._bounded(counts, _WORSE, value, (reach, -reach), question)

    def relative_drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """A drop beyond that share of the least that the baseline's mean may be; a tenth of the risk goes into that."""
        before, after = counts.moments.means
        value = self._sign * (after - before) / abs(before) if before else math.nan
        risk = (1 - question.level) / 10
        careful = replace(question, limit=0.0, level=1 - risk)
        size = self._own_mean(counts, careful, _BASELINE)
        # Of a loss the least, of a gain too: in both the end nearer to zero.
        least = max(size.lower, -size.upper, 0.0)
        if size.obstacle or not least:
            return unknown(value, size.obstacle or "the baseline's mean may be 0")
        asked = replace(question, limit=question.limit * least)
        found = self.drop(counts, asked)
        tail = min(1.0, found.tail + risk)
        return Evidence(value, found.lower / least, found.upper / least, tail, found.obstacle)

    def smallest(self, counts: MetricCounts, question: Question) -> Evidence:
        """The same of the candidate's numbers, where more is better."""
        negative = replace(question, limit=-question.limit)
        return mirrored(self._own_mean(counts, negative, _CANDIDATE))

    def largest(self, counts: MetricCounts, question: Question) -> Evidence:
        """The same of the candidate's numbers, where less is better."""
        return self._own_mean(counts, question, _CANDIDATE)

    @property
    def _sign(self) -> int:
        return -1 if self.higher_is_better else 1

    def _own_mean(self, counts: MetricCounts, question: Question, kind: int) -> Evidence:
        """Returns what is known of a model's own loss: its mean, negative where more is better."""
        moments = counts.moments
        of_candidate = kind == _CANDIDATE
        value = self._sign * moments.means[of_candidate]
        if self.range is None:
            squares, largest = (moments.cc, moments.largest_c) if of_candidate else (moments.bb, moments.largest_b)
            return by_t(value, float(squares), largest, moments.number, moments.number, question)
        best, worst = sorted((self._sign * self.range.lowest, self._sign * self.range.highest))
        return self._bounded(counts, kind, value, (worst, best), question)

    def _bounded(
        self, counts: MetricCounts, kind: int, value: float, ends: tuple[float, float], question: Question
    ) -> Evidence:
        """Returns the evidence of a mean between two ends, the worst first."""
        assert self.range is not None
        worst, best = ends
        codes, numbers = counts.joint.arrays(question.design)
        chosen = codes % _NUM_KINDS == kind
        codes, numbers = codes[chosen], numbers[chosen]
        losses = (codes // _NUM_KINDS) * self.range.step
        if question.anytime:
            lower = -anytime_bound(-losses, numbers, -best, -worst, question.level)
            upper = anytime_bound(losses, numbers, worst, best, question.level)
            return Evidence(value, lower, upper, anytime_tail(losses, numbers, worst, best, question.limit))
        seed = seed_of(codes, numbers)
        bad, good = (_weighted_mean(losses, numbers, imagined, seed, question.num_draws) for imagined in ends)
        return from_draws(value, [bad], [good], question)


def _weighted_mean(values: np.ndarray, numbers: np.ndarray, imagined: float, seed: int, num_draws: int) -> np.ndarray:
    together, counts = np.append(values, imagined), np.append(numbers, 1.0)
    parts = []
    for start, size in pieces(num_draws, len(counts)):
        weights = draw_weights(counts, size, seed, start)
        parts.append(weights @ together / weights.sum(axis=1))
    return np.concatenate(parts)


def by_t(value: float, squares: float, largest: float, num_differing: int, number: int, question: Question) -> Evidence:
    """Student's t, where it can be trusted.

    Args:
      value: The mean.
      squares: Sum of the squares of its numbers.
      largest: The largest square.
      num_differing: Numbers that say something: for differences, those that are not 0.
      number: All of them.
      question: Limit and level.
    """
    if question.anytime:
        return unknown(value, "numbers without a known range: looks='anytime' needs one; give value_ranges")
    if num_differing / question.design < _MIN_DIFFERING:
        return unknown(
            value,
            f"{num_differing:,} example(s) differ, fewer than {_MIN_DIFFERING}, and the range of the numbers is not "
            "known: give value_ranges",
        )
    if largest > _MAX_SHARE * squares:
        return unknown(value, "one example makes up more than a tenth of all squares: give value_ranges")
    independent = number / question.design
    variance = max(0.0, (squares / number - value**2) * independent / (independent - 1))
    error = math.sqrt(variance / independent)
    reach = float(stats.t.ppf(question.level, independent - 1)) * error
    distance = (question.limit - value) / error if error else math.copysign(math.inf, question.limit - value)
    return Evidence(value, value - reach, value + reach, float(stats.t.sf(distance, independent - 1)))
