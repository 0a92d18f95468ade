"""Precision, recall and F1: ratios over joint counts of label, baseline's class and candidate's class."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from slimline.core.evaluation.statistics.evidence import Evidence, MetricCounts, Question, from_draws, unknown
from slimline.core.evaluation.statistics.reweighting import draw_weights, pieces, seed_of

_BITS = 20
_MASK = (1 << _BITS) - 1
# Of the classes with the fewest examples, in which one imagined example changes most.
_MAX_PLACES = 8


def confusion_codes(labels: np.ndarray, baseline: np.ndarray, candidate: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the joint outcomes of a batch.

    Args:
      labels: Class numbers of shape (batch,).
      baseline: The baseline's.
      candidate: The candidate's.
      num_classes: How many classes there are; with two, the second is the positive one and the only one measured.
    """
    packed = (labels.astype(np.int64) << 2 * _BITS) | (baseline.astype(np.int64) << _BITS) | candidate.astype(np.int64)
    return packed | (np.int64(num_classes == 2) << 3 * _BITS)


@dataclass(frozen=True)
class _Totals:
    """Weights by class, each of shape (draws, classes)."""

    labels: np.ndarray
    predicted: tuple[np.ndarray, np.ndarray]
    hits: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ConfusionStatistic:
    """A mean over classes of a ratio of their hits; over the positive class alone when there are two.

    Attributes:
      kind: Hits as a share of those predicted (precision), of the labels (recall), or of both (F1).
    """

    kind: Literal["precision", "recall", "f1"]
    higher_is_better: bool = True

    def values(self, counts: MetricCounts) -> tuple[float, float]:
        """Returns the baseline's value and the candidate's."""
        codes, numbers = counts.joint.arrays()
        table = _Table(codes)
        baseline, candidate = self._of(table, table.totals(numbers[np.newaxis]))
        return float(baseline[0]), float(candidate[0])

    def drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """By random weights, with an imagined example in each of the classes where it harms most."""
        return self._ask(counts, question, lambda baseline, candidate: baseline - candidate)

    def relative_drop(self, counts: MetricCounts, question: Question) -> Evidence:
        """The same, divided by the baseline's value under the same weights."""
        return self._ask(counts, question, lambda before, after: (before - after) / np.maximum(before, 1e-300))

    def smallest(self, counts: MetricCounts, question: Question) -> Evidence:
        """By the same weights, of the candidate's value."""
        negative = replace(question, limit=-question.limit)
        found = self._ask(counts, negative, lambda _, candidate: -candidate)
        return Evidence(-found.value, -found.upper, -found.lower, found.tail, found.obstacle)

    def largest(self, counts: MetricCounts, question: Question) -> Evidence:
        """By the same weights, of the candidate's value, with a hit more."""
        return self._ask(counts, question, lambda _, candidate: candidate, swap=True)

    def _ask(self, counts: MetricCounts, question: Question, figure: "object", *, swap: bool = False) -> Evidence:
        assert callable(figure)
        value = float(figure(*map(np.asarray, self.values(counts))))
        if question.anytime:
            return unknown(value, f"{self.kind} is no mean of examples: looks='anytime' judges shares and means")
        codes, numbers = counts.joint.arrays(question.design)
        table = _Table(codes)
        seed = seed_of(codes, numbers)
        worst, best = table.places(numbers), [(label, other, label) for label, _, other in table.places(numbers)]
        found: dict[tuple[int, int, int], list[np.ndarray]] = {place: [] for place in (*worst, *best)}
        for start, size in pieces(question.num_draws, len(codes) + 10 * table.num_classes):
            weights = draw_weights(np.append(numbers, 1.0), size, seed, start)
            totals = table.totals(weights[:, :-1])
            for place, parts in found.items():
                parts.append(figure(*self._of(table, table.with_one(totals, place, weights[:, -1]))))
        bad, good = ([np.concatenate(found[place]) for place in places] for places in (worst, best))
        return from_draws(value, good, bad, question) if swap else from_draws(value, bad, good, question)

    def _of(self, table: "_Table", totals: _Totals) -> tuple[np.ndarray, np.ndarray]:
        first, second = (
            self._mean(hits, predicted, totals.labels, table)
            for hits, predicted in zip(totals.hits, totals.predicted, strict=True)
        )
        return first, second

    def _mean(self, hits: np.ndarray, predicted: np.ndarray, labels: np.ndarray, table: "_Table") -> np.ndarray:
        """Returns the mean over the classes that occur, as scikit-learn does with zero for an empty denominator."""
        whole = {"precision": predicted, "recall": labels, "f1": (predicted + labels) / 2}[self.kind]
        shares = np.divide(hits, whole, out=np.zeros_like(hits), where=whole > 0)
        if table.is_binary:
            return shares[:, table.positive] if table.positive is not None else np.zeros(len(shares))
        present = (predicted + labels) > 0
        return np.asarray(np.where(present, shares, 0).sum(axis=1) / np.maximum(1, present.sum(axis=1)))


class _Table:
    """The classes in a set of codes, and the sums over each class."""

    def __init__(self, codes: np.ndarray) -> None:
        parts = [(codes >> 2 * _BITS) & _MASK, (codes >> _BITS) & _MASK, codes & _MASK]
        self.is_binary = bool(codes.size and codes[0] >> 3 * _BITS)
        self.classes = np.unique(np.concatenate([*parts, [0, 1] if self.is_binary else []])).astype(np.int64)
        self.num_classes = len(self.classes)
        self.positive = int(np.searchsorted(self.classes, 1)) if self.is_binary else None
        self._labels, self._baseline, self._candidate = (np.searchsorted(self.classes, part) for part in parts)

    def totals(self, weights: np.ndarray) -> _Totals:
        """Adds up weights of shape (draws, codes) by class."""
        hits = (self._labels == self._baseline, self._labels == self._candidate)
        return _Totals(
            self._sum(weights, self._labels),
            (self._sum(weights, self._baseline), self._sum(weights, self._candidate)),
            (self._sum(weights, self._labels, hits[0]), self._sum(weights, self._labels, hits[1])),
        )

    def _sum(self, weights: np.ndarray, places: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
        values = np.ones(len(places)) if chosen is None else chosen.astype(np.float64)
        indicator = sparse.csr_matrix((values, (np.arange(len(places)), places)), shape=(len(places), self.num_classes))
        return np.asarray(weights @ indicator)

    @staticmethod
    def with_one(totals: _Totals, place: tuple[int, int, int], weight: np.ndarray) -> _Totals:
        """Returns the totals with an example more, of label, baseline's class and candidate's class."""
        label, before, after = place

        def more(values: np.ndarray, column: int, hit: bool = True) -> np.ndarray:
            if not hit:
                return values
            values = values.copy()
            values[:, column] += weight
            return values

        predicted, hits = totals.predicted, totals.hits
        return _Totals(
            more(totals.labels, label),
            (more(predicted[0], before), more(predicted[1], after)),
            (more(hits[0], label, label == before), more(hits[1], label, label == after)),
        )

    def places(self, numbers: np.ndarray) -> list[tuple[int, int, int]]:
        """Returns the worst outcomes: what the baseline alone gets right, in the classes of the fewest examples."""
        totals = self.totals(numbers[np.newaxis])
        if self.is_binary:
            return [(1, 1, 0), (0, 0, 1)]
        if self.num_classes < 2:
            return [(0, 0, 0)]
        return list(dict.fromkeys(self._rarest(totals.labels[0], totals.predicted[1][0])))

    def _rarest(self, labels: np.ndarray, predicted: np.ndarray) -> Iterator[tuple[int, int, int]]:
        by_label = np.argsort(np.where(labels > 0, labels, np.inf), kind="stable")
        by_prediction = np.argsort(np.where(predicted > 0, predicted, np.inf), kind="stable")
        for label in by_label[:_MAX_PLACES].tolist():
            yield label, label, next(int(one) for one in by_prediction if one != label)
        for other in by_prediction[:_MAX_PLACES].tolist():
            label = next(int(one) for one in by_label if one != other)
            yield label, label, other
