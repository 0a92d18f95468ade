"""The area under the ROC curve, from joint counts of label, baseline's score and candidate's score."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from slimline.core.evaluation.statistics.evidence import Evidence, MetricCounts, Question, from_draws, unknown
from slimline.core.evaluation.statistics.reweighting import draw_weights, pieces, seed_of
from slimline.errors import ExamplesError

# Scores are counted in this many buckets of equal width, so that the error of an area is at most about 1 / 1024.
NUM_BUCKETS = 512
_BITS = 9
_MASK = NUM_BUCKETS - 1
# With many classes, fewer draws of each: their mean is what is asked for.
_FEW_DRAWS = 2_000
_TOP, _BOTTOM = NUM_BUCKETS - 1, 0
# Label, baseline's bucket and candidate's bucket of the worst outcomes.
_WORST = ((1, _TOP, _BOTTOM), (0, _BOTTOM, _TOP))
_BEST = ((1, _BOTTOM, _TOP), (0, _TOP, _BOTTOM))


def area_codes(labels: np.ndarray, baseline: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Returns the joint outcomes of a batch.

    Args:
      labels: Zeros and ones, of shape (batch, classes): whether an example is of a class.
      baseline: Scores in [0, 1], of the same shape.
      candidate: The same of the candidate.
    """
    places = np.broadcast_to(np.arange(labels.shape[1], dtype=np.int64), labels.shape)
    return (
        (places << (2 * _BITS + 1))
        | (labels.astype(np.int64) << 2 * _BITS)
        | (_bucket(baseline) << _BITS)
        | _bucket(candidate)
    )


def _bucket(scores: np.ndarray) -> np.ndarray:
    return np.clip((scores * NUM_BUCKETS).astype(np.int64), 0, NUM_BUCKETS - 1)


@dataclass(frozen=True)
class AreaStatistic:
    """The mean over classes of the area under the ROC curve of each against the rest (Hanley and McNeil 1982).

    Attributes:
      higher_is_better: Always.
    """

    higher_is_better: bool = True

    def values(self, counts: MetricCounts) -> tuple[float, float]:
        """Returns the baseline's area and the candidate's.

        Raises:
          ExamplesError: There are examples of one class only.
        """
        found = [self._areas(codes, numbers[np.newaxis]) for codes, numbers in _by_class(counts, 1.0)]
        if not found:
            raise ExamplesError(
                "labels of one class only",
                "examples of both classes, which AUC compares",
                "leave auc out, or add examples",
            )
        baseline, candidate = (float(np.mean([areas[place][0] for areas in found])) for place in (0, 1))
        return baseline, candidate

    def drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """By random weights, with a positive that the baseline ranks first and the candidate last, or a negative."""
        return self._ask(counts, question, lambda baseline, candidate: baseline - candidate)

    def relative_drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """The same, divided by the baseline's area under the same weights."""
        return self._ask(counts, question, lambda before, after: (before - after) / np.maximum(before, 1e-300))

    def smallest(self, counts: MetricCounts, question: Question) -> Evidence:
        """By the same weights, of the candidate's area."""
        negative = replace(question, limit=-question.limit)
        found = self._ask(counts, negative, lambda _, candidate: -candidate)
        return Evidence(-found.value, -found.upper, -found.lower, found.tail, found.obstacle)

    def largest(self, counts: MetricCounts, question: Question) -> Evidence:
        """By the same weights."""
        return self._ask(counts, question, lambda _, candidate: candidate, swap=True)

    def _ask(
        self,
        counts: MetricCounts,
        question: Question,
        figure: Callable[[np.ndarray, np.ndarray], np.ndarray],
        *,
        swap: bool = False,
    ) -> Evidence:
        value = float(figure(*map(np.asarray, self.values(counts))))
        if question.anytime:
            return unknown(value, "an area is no mean of examples: looks='anytime' judges shares and means")
        classes = _by_class(counts, question.design)
        draws = question.num_draws if len(classes) == 1 else min(question.num_draws, _FEW_DRAWS)
        bad, good = ([self._drawn(classes, place, draws, figure) for place in places] for places in (_WORST, _BEST))
        return from_draws(value, good, bad, question) if swap else from_draws(value, bad, good, question)

    def _drawn(
        self,
        classes: list[tuple[np.ndarray, np.ndarray]],
        place: tuple[int, int, int],
        num_draws: int,
        figure: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """Returns the mean of the classes' figures, each with an imagined example.

        What the classes have in common is not counted. The draws are paired by rank, as if all classes were lucky or
        unlucky together, which makes the widest mean.
        """
        label, before, after = place
        imagined = (label << 2 * _BITS) | (before << _BITS) | after
        total = np.zeros(num_draws)
        for codes, numbers in classes:
            more, with_one = np.append(codes, imagined), np.append(numbers, 1.0)
            seed = seed_of(codes, numbers)
            parts = [
                figure(*self._areas(more, draw_weights(with_one, size, seed, start)))
                for start, size in pieces(num_draws, len(more) + 4 * NUM_BUCKETS)
            ]
            total += np.sort(np.concatenate(parts))
        return total / len(classes)

    @staticmethod
    def _areas(codes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        positives = ((codes >> 2 * _BITS) & 1).astype(bool)
        baseline, candidate = (
            _area(positives, buckets, weights) for buckets in ((codes >> _BITS) & _MASK, codes & _MASK)
        )
        return baseline, candidate


def _area(positives: np.ndarray, buckets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    present, places = np.unique(buckets, return_inverse=True)
    rows = np.arange(len(buckets))

    def by_bucket(chosen: np.ndarray) -> np.ndarray:
        shape = (len(buckets), len(present))
        indicator = sparse.csr_matrix((chosen.astype(np.float64), (rows, places)), shape=shape)
        return np.asarray(weights @ indicator)

    up, down = by_bucket(positives), by_bucket(~positives)
    below = np.cumsum(down, axis=1) - down
    return np.asarray((up * (below + down / 2)).sum(axis=1) / (up.sum(axis=1) * down.sum(axis=1)))


def _by_class(counts: MetricCounts, design: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns codes and numbers of each class that has positives and negatives."""
    codes, numbers = counts.joint.arrays(design)
    classes = codes >> (2 * _BITS + 1)
    found = []
    for one in np.unique(classes):
        chosen = classes == one
        inner = codes[chosen] & ((1 << (2 * _BITS + 1)) - 1)
        labels = inner >> 2 * _BITS
        if 0 < labels.sum() < len(labels):
            found.append((inner, numbers[chosen]))
    return found
