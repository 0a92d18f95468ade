"""Simulated pairs of models of which the truth is known, counted as the gate counts real ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slimline.core.evaluation.statistics.areas import area_codes
from slimline.core.evaluation.statistics.confusion import confusion_codes
from slimline.core.evaluation.statistics.evidence import MetricCounts, Question, Statistic
from slimline.core.evaluation.statistics.means import Range

# Fewer than the gate draws: a thousand runs need no more, and take a tenth of the time.
NUM_DRAWS = 2_000

Draw = Callable[[np.random.Generator, int], MetricCounts]


@dataclass(frozen=True)
class World:
    """A pair of models whose true drop is known.

    Attributes:
      name: For tables.
      statistic: How it is judged.
      draw: From a random generator and a number of examples to the counts of that many examples.
      drop: The true drop.
    """

    name: str
    statistic: Statistic
    draw: Draw
    drop: float

    def blessed(self, limit: float, num_examples: int, num_runs: int, level: float = 0.95, seed: int = 0) -> float:
        """Returns the share of runs in which the drop's limit is kept at a level."""
        return float(np.mean(self.p_values(limit, num_examples, num_runs, level, seed) <= 1 - level + 1e-12))

    def p_values(
        self, limit: float, num_examples: int, num_runs: int, level: float = 0.95, seed: int = 0
    ) -> np.ndarray:
        """Returns the p-value of each run."""
        generator = np.random.default_rng(seed)
        question = Question(limit, level, num_draws=NUM_DRAWS, with_bounds=False)
        known: dict[tuple[tuple[int, int], ...], float] = {}
        found = []
        for _ in range(num_runs):
            counts = self.draw(generator, num_examples)
            key = tuple(sorted(counts.joint.by_code.items()))
            if not key or counts.moments.number:
                found.append(_tail(self.statistic, counts, question))
                continue
            if key not in known:
                known[key] = _tail(self.statistic, counts, question)
            found.append(known[key])
        return np.array(found)


def _tail(statistic: Statistic, counts: MetricCounts, question: Question) -> float:
    evidence = statistic.drop(counts, question)
    return 1.0 if evidence.obstacle else evidence.tail


def from_cells(codes: np.ndarray, chances: np.ndarray) -> Draw:
    """Returns a draw of outcomes with known chances."""

    def draw(generator: np.random.Generator, number: int) -> MetricCounts:
        counts = MetricCounts.empty()
        drawn = generator.multinomial(number, chances)
        counts.joint.by_code = {int(code): int(seen) for code, seen in zip(codes, drawn, strict=True) if seen}
        return counts

    return draw


def share_world(statistic: Statistic, drop: float, differing: float) -> World:
    """A pair whose shares of right answers differ by a drop, on a share of examples that differ."""
    worse, better = (differing + drop) / 2, (differing - drop) / 2
    chances = np.array([0.1 * (1 - differing), better, worse, 0.9 * (1 - differing)])
    return World(f"accuracy, {100 * differing:g}% differing", statistic, from_cells(np.arange(4), chances), drop)


def confusion_world(statistic: Statistic, prevalence: np.ndarray, lost: float, limit: float) -> World:
    """A pair in which the candidate loses hits of the first class until the drop is at the limit.

    Args:
      statistic: Of a ratio of hits.
      prevalence: Share of each class; with two, of the negative and the positive one.
      lost: Share of the loss that is spread over all classes, in [0, 1]; the rest is of the rarest.
      limit: The true drop.
    """
    num_classes = len(prevalence)
    rarest = int(np.argmin(prevalence))

    def chances(loss: float) -> tuple[np.ndarray, np.ndarray]:
        labels, baseline, candidate, weights = [], [], [], []
        for label in range(num_classes):
            share = loss * (lost + (1 - lost) * (label == rarest))
            other = (label + 1) % num_classes
            for before, after, weight in (
                (label, label, 0.92 * (1 - share)),
                (label, other, 0.92 * share),
                (other, other, 0.08 * 0.98),
                (other, label, 0.08 * 0.02),
            ):
                labels.append(label)
                baseline.append(before)
                candidate.append(after)
                weights.append(prevalence[label] * weight)
        codes = confusion_codes(np.array(labels), np.array(baseline), np.array(candidate), num_classes)
        return codes, np.array(weights)

    def drop_of(loss: float) -> float:
        codes, weights = chances(loss)
        counts = MetricCounts.empty()
        counts.joint.by_code = {int(c): w for c, w in zip(codes, weights, strict=True)}
        before, after = statistic.values(counts)
        return before - after

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if drop_of(middle) < limit else (low, middle)
    codes, weights = chances(high)
    return World("", statistic, from_cells(codes, weights / weights.sum()), drop_of(high))


def mean_world(statistic: Statistic, values: np.ndarray, chances: np.ndarray, limits: Range | None) -> World:
    """A pair whose numbers differ by given values with given chances; the baseline's are 0.1 of the range or 0."""

    def draw(generator: np.random.Generator, number: int) -> MetricCounts:
        counts = MetricCounts.empty()
        worse = np.repeat(values, generator.multinomial(number, chances))
        baseline = np.full(number, 0.0 if limits is None else limits.lowest + 0.3 * (limits.highest - limits.lowest))
        counts.moments.add(baseline, baseline + worse)
        if limits is not None:
            counts.joint.add(limits.codes(baseline, baseline + worse, higher_is_better=False))
        return counts

    return World("", statistic, draw, float(values @ chances))


def area_world(statistic: Statistic, prevalence: float, limit: float) -> World:
    """A pair in which the candidate ranks some positives low, until the drop of the area is at the limit."""

    def sample(generator: np.random.Generator, number: int, share: float) -> np.ndarray:
        labels = generator.random(number) < prevalence
        baseline = generator.normal(size=number) + 2.5 * labels
        candidate = baseline + generator.normal(scale=0.02, size=number)
        hit = labels & (generator.random(number) < share)
        candidate[hit] = generator.normal(size=int(hit.sum())) - 1.5
        scores = [1 / (1 + np.exp(-one)) for one in (baseline, candidate)]
        return area_codes(*(one[:, np.newaxis] for one in (labels, *scores)))

    def drop_of(share: float) -> float:
        counts = MetricCounts.empty()
        counts.joint.add(sample(np.random.default_rng(7), 1_000_000, share))
        before, after = statistic.values(counts)
        return before - after

    low, high = 0.0, 0.5
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if drop_of(middle) < limit else (low, middle)

    def draw(generator: np.random.Generator, number: int) -> MetricCounts:
        counts = MetricCounts.empty()
        counts.joint.add(sample(generator, number, high))
        return counts

    return World("", statistic, draw, drop_of(high))
