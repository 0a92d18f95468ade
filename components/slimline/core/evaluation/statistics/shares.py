"""Shares of examples: accuracy, top-k, agreement, and every metric of zeros and ones."""

import math
from dataclasses import dataclass, replace

import numpy as np

from slimline.core.evaluation.statistics import share_bounds
from slimline.core.evaluation.statistics.anytime import anytime_bound, anytime_tail
from slimline.core.evaluation.statistics.evidence import Evidence, MetricCounts, Question, from_draws
from slimline.core.evaluation.statistics.reweighting import draw_weights, seed_of

# Codes: 2 where the baseline is right, and 1 where the candidate is.
_BOTH, _WORSE, _BETTER, _NEITHER = 3, 2, 1, 0


def share_codes(baseline: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Returns the joint outcomes of a batch.

    Args:
      baseline: Whether each example has the property by the baseline, of shape (batch,).
      candidate: The same by the candidate.
    """
    return 2 * baseline.astype(np.int64) + candidate.astype(np.int64)


@dataclass(frozen=True)
class ShareStatistic:
    """A share, exactly.

    Attributes:
      higher_is_better: False for a share of errors.
    """

    higher_is_better: bool = True

    def values(self, counts: MetricCounts) -> tuple[float, float]:
        """Returns the baseline's share and the candidate's."""
        joint = counts.joint
        number = sum(joint.by_code.values())
        return joint.of((_BOTH, _WORSE)) / number, joint.of((_BOTH, _BETTER)) / number

    def drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """Exact: Dirichlet weights of those that became worse, better, and neither."""
        worse, better, same = self._changes(counts, question.design)
        number = worse + better + same
        value = (worse - better) / number
        if question.anytime:
            kinds, seen = np.array([1.0, -1.0, 0.0]), np.array([worse, better, same])
            return Evidence(
                value,
                -anytime_bound(-kinds, seen, 1.0, -1.0, question.level),
                anytime_bound(kinds, seen, 1.0, -1.0, question.level),
                anytime_tail(kinds, seen, 1.0, -1.0, question.limit),
            )
        if not question.with_bounds:
            tail = share_bounds.drop_tail(worse + 1, better, same, question.limit)
            return Evidence(value, -math.inf, math.inf, tail)
        return Evidence(
            value,
            -share_bounds.drop_bound(better + 1, worse, same, question.level),
            share_bounds.drop_bound(worse + 1, better, same, question.level),
            share_bounds.drop_tail(worse + 1, better, same, question.limit),
        )

    def relative_drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """By random weights of all four outcomes, so that the baseline's own uncertainty counts."""
        worse, better, _ = self._changes(counts, question.design)
        right = counts.joint.of((_BOTH,) if self.higher_is_better else (_NEITHER,)) / question.design
        wrong = counts.joint.of((_NEITHER,) if self.higher_is_better else (_BOTH,)) / question.design
        before = worse + right if self.higher_is_better else better + wrong
        if question.anytime or not before:
            return Evidence(
                math.nan, -math.inf, math.inf, 1.0, "a relative drop can't be bounded at all looks together"
            )
        numbers = np.array([worse, better, right, wrong])

        def ratio(imagined: int) -> np.ndarray:
            more = numbers + np.eye(4)[imagined]
            seed = seed_of(np.arange(4), more)
            weights = draw_weights(more, question.num_draws, seed)
            base = weights[:, 0] + weights[:, 2] if self.higher_is_better else weights[:, 1] + weights[:, 3]
            return (weights[:, 0] - weights[:, 1]) / np.maximum(base, 1e-300)

        return from_draws((worse - better) / before, [ratio(0)], [ratio(1)], question)

    def smallest(self, counts: MetricCounts, question: Question) -> Evidence:
        """Exact: Clopper and Pearson."""
        right, wrong = self._rights(counts, question.design)
        if question.anytime:
            kinds, seen = np.array([-1.0, 0.0]), np.array([right, wrong])
            return Evidence(
                right / (right + wrong),
                -anytime_bound(kinds, seen, 0.0, -1.0, question.level),
                anytime_bound(-kinds, seen, 1.0, 0.0, question.level),
                anytime_tail(kinds, seen, 0.0, -1.0, -question.limit),
            )
        return Evidence(
            right / (right + wrong),
            share_bounds.value_bound(right, wrong + 1, question.level),
            1 - share_bounds.value_bound(wrong, right + 1, question.level),
            share_bounds.value_tail(right, wrong + 1, question.limit),
        )

    def largest(self, counts: MetricCounts, question: Question) -> Evidence:
        """The same of the examples without the property."""
        swapped = MetricCounts.empty()
        swapped.joint.by_code = {3 - code: number for code, number in counts.joint.by_code.items()}
        asked = replace(question, limit=1 - question.limit)
        found = self.smallest(swapped, asked)
        return Evidence(1 - found.value, 1 - found.upper, 1 - found.lower, found.tail)

    def _changes(self, counts: MetricCounts, design: float) -> tuple[float, float, float]:
        worse, better = (counts.joint.of((code,)) / design for code in (_WORSE, _BETTER))
        same = counts.joint.of((_BOTH, _NEITHER)) / design
        return (worse, better, same) if self.higher_is_better else (better, worse, same)

    def _rights(self, counts: MetricCounts, design: float) -> tuple[float, float]:
        return counts.joint.of((_BOTH, _BETTER)) / design, counts.joint.of((_WORSE, _NEITHER)) / design
