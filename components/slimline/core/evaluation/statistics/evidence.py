"""What the counts of a metric say of one figure: its value, its bounds, and how likely it is beyond a limit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from slimline.core.evaluation.statistics.joint_counts import JointCounts
from slimline.core.evaluation.statistics.moments import Moments
from slimline.core.evaluation.statistics.reweighting import NUM_DRAWS


@dataclass(frozen=True)
class Evidence:
    """A figure, with one-sided bounds.

    Attributes:
      value: As measured.
      lower: It is smaller with a probability of 1 - level at most; minus infinity when nothing can be said.
      upper: It is larger with a probability of 1 - level at most; infinity when nothing can be said.
      tail: Largest probability of seeing this when the limit is broken: the p-value of the limit.
      obstacle: Why nothing can be said; empty where something can.
    """

    value: float
    lower: float
    upper: float
    tail: float
    obstacle: str = ""


@dataclass
class MetricCounts:
    """What was counted of one metric on one slice.

    Attributes:
      joint: Outcomes of baseline and candidate, or differences in fine steps.
      moments: Sums of the metric's numbers, for means.
    """

    joint: JointCounts
    moments: Moments

    @classmethod
    def empty(cls) -> "MetricCounts":
        """Returns counts of no examples."""
        return cls(JointCounts(), Moments())

    def merge(self, other: "MetricCounts") -> None:
        """Adds other counts to these."""
        self.joint.merge(other.joint)
        self.moments.merge(other.moments)


@dataclass(frozen=True)
class Question:
    """What is asked of the counts.

    Attributes:
      limit: The figure that must not be passed.
      level: Of the bounds, in (0.5, 1).
      design: Examples that count as one.
      anytime: Whether the answer must hold at all looks together.
      num_draws: Random weights that are drawn, where there is no closed form.
      with_bounds: False where the tail alone is asked for, which is much faster in a closed form.
    """

    limit: float
    level: float
    design: float = 1.0
    anytime: bool = False
    num_draws: int = NUM_DRAWS
    with_bounds: bool = True


class Statistic(Protocol):
    """What a metric's counts say."""

    @property
    def higher_is_better(self) -> bool:
        """False for errors."""

    def values(self, counts: MetricCounts) -> tuple[float, float]:
        """Returns the baseline's value and the candidate's."""

    def drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """Returns what is known of how much the candidate is worse; its tail is for a drop over the limit."""

    def relative_drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """The same as a share of the baseline's value."""

    def smallest(self, counts: MetricCounts, question: Question) -> Evidence:
        """Returns what is known of the candidate's value; its tail is for a value under the limit."""

    def largest(self, counts: MetricCounts, question: Question) -> Evidence:
        """The same; its tail is for a value over the limit."""


def unknown(value: float, obstacle: str) -> Evidence:
    """Returns that nothing can be said."""
    return Evidence(value, -math.inf, math.inf, 1.0, obstacle)


def from_draws(value: float, bad: Sequence[np.ndarray], good: Sequence[np.ndarray], question: Question) -> Evidence:
    """Returns bounds of a figure of which less is better.

    Args:
      value: As measured.
      bad: For each imagined example of a worst outcome, the figure under random weights.
      good: The same for the best outcomes.
      question: Limit and level.
    """
    return Evidence(
        value,
        min(float(np.quantile(draws, 1 - question.level)) for draws in good),
        max(float(np.quantile(draws, question.level)) for draws in bad),
        max(tail(draws, question.limit) for draws in bad),
    )


def tail(draws: np.ndarray, limit: float) -> float:
    """Returns the share of draws over a limit, where one more draw is taken to be over it."""
    # A figure exactly on the limit keeps it; sums of floats miss it by a hair.
    tolerance = 1e-12 * max(1.0, abs(limit))
    return (int((draws > limit + tolerance).sum()) + 1) / (len(draws) + 1)


def mirrored(evidence: Evidence) -> Evidence:
    """Returns the evidence of the negative figure."""
    return Evidence(-evidence.value, -evidence.upper, -evidence.lower, evidence.tail, evidence.obstacle)
