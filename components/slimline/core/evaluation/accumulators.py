"""What is counted while models are evaluated: sums that merge in any order into exactly the same figures.

Sums of whole numbers are exact by themselves. Other numbers are summed as fractions, since floating-point sums depend
on the order in which workers finish.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from slimline.core.evaluation.decisions import decide
from slimline.core.evaluation.metrics import Metric, Outcome
from slimline.errors import ExamplesError

# Random groups of examples, by which the jackknife judges how sure a figure is.
NUM_GROUPS = 20
_MAX_SLICES = 1_000
# With more classes than this, which decisions changed is no table that anybody reads.
_MAX_CLASSES = 100

# By slice and metric.
Key: TypeAlias = tuple[str, str]

_to_fraction = np.frompyfunc(Fraction, 1, 1)


@dataclass(frozen=True)
class Pairs:
    """Differences between two models on the same examples, for a metric that is a mean.

    Attributes:
      total: Sum of how much worse the candidate is.
      squares: Sum of the squares.
      num_worse: Examples on which the candidate is worse.
      num_better: Examples on which it is better.
    """

    total: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)
    num_worse: int = 0
    num_better: int = 0

    def __add__(self, other: "Pairs") -> "Pairs":
        """Returns the sums over both."""
        return Pairs(
            self.total + other.total,
            self.squares + other.squares,
            self.num_worse + other.num_worse,
            self.num_better + other.num_better,
        )


@dataclass
class ModelTally:
    """Sums of one model.

    Attributes:
      sums: Sums of a metric's rows by group, of shape (groups, columns).
      squares: Sum of the squares of a mean metric's rows.
      pairs: Differences to the baseline, for metrics that are means; none for the baseline itself.
      changes: How often the baseline decided for one class and this model for another.
      failure: Why the model could not be evaluated to the end.
    """

    sums: dict[Key, np.ndarray] = field(default_factory=dict)
    squares: dict[Key, Fraction] = field(default_factory=dict)
    pairs: dict[Key, Pairs] = field(default_factory=dict)
    changes: Counter[tuple[int, int]] = field(default_factory=Counter)
    failure: str = ""

    def merge(self, other: "ModelTally") -> None:
        """Adds another tally to this one."""
        for key, sums in other.sums.items():
            self.sums[key] = self.sums[key] + sums if key in self.sums else sums
        for key, squares in other.squares.items():
            self.squares[key] = self.squares.get(key, Fraction(0)) + squares
        for key, pairs in other.pairs.items():
            self.pairs[key] = self.pairs.get(key, Pairs()) + pairs
        self.changes.update(other.changes)
        self.failure = min(filter(None, (self.failure, other.failure)), default="")


@dataclass
class Tallies:
    """Everything that was counted of some of the examples.

    Attributes:
      num_examples: By slice the examples in each group, of shape (groups,).
      models: By name; the baseline's name is empty.
      errors: What was wrong with files.
    """

    num_examples: dict[str, np.ndarray] = field(default_factory=dict)
    models: dict[str, ModelTally] = field(default_factory=dict)
    errors: tuple[ExamplesError, ...] = ()

    def merge(self, other: "Tallies") -> "Tallies":
        """Adds other tallies to these and returns them."""
        for name, numbers in other.num_examples.items():
            self.num_examples[name] = self.num_examples.get(name, 0) + numbers
        for name, tally in other.models.items():
            self.models.setdefault(name, ModelTally()).merge(tally)
        self.errors = tuple(sorted({*self.errors, *other.errors}, key=str))
        self._require_few_slices()
        return self

    def add(
        self,
        labels: np.ndarray,
        predictions: Mapping[str, np.ndarray],
        metrics: Mapping[str, Metric],
        slices: Sequence[Sequence[str]],
        groups: np.ndarray,
    ) -> None:
        """Counts a batch.

        Args:
          labels: Of shape (batch, …).
          predictions: By model, the baseline's under the empty name; those of a model that failed are missing.
          metrics: By name.
          slices: The slices of each example.
          groups: The group of each example, of shape (batch,).
        """
        membership = _membership(slices)
        for name, member in membership.items():
            numbers = np.bincount(groups[member], minlength=NUM_GROUPS)
            self.num_examples[name] = self.num_examples.get(name, 0) + numbers
        self._require_few_slices()
        baseline = predictions[""]
        # Metrics that compare with the baseline count nothing of it, and it must be there all the same.
        for model in predictions:
            self.models.setdefault(model, ModelTally())
        for metric_name, metric in metrics.items():
            reference = None
            for model, given in predictions.items():
                if model == "" and metric.of_baseline is not None:
                    continue
                rows = metric.rows(Outcome(labels, given, baseline))
                reference = rows if model == "" else reference
                _count(self.models[model], metric_name, metric, rows, reference if model else None, membership, groups)
        for model, given in predictions.items():
            if model and given.reshape(len(given), -1).shape[1] <= _MAX_CLASSES:
                self.models[model].changes.update(_changes(baseline, given))

    def _require_few_slices(self) -> None:
        if len(self.num_examples) > _MAX_SLICES:
            raise ExamplesError(
                f"more than {_MAX_SLICES} slices",
                "features of few values",
                "slice by other features, or give buckets",
            )


def _membership(slices: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """Returns for each slice which of the examples are in it, as indices."""
    indices: dict[str, list[int]] = {}
    for index, listed in enumerate(slices):
        for name in dict.fromkeys(listed):
            indices.setdefault(name, []).append(index)
    return {name: np.array(found) for name, found in sorted(indices.items())}


def _count(
    tally: ModelTally,
    metric_name: str,
    metric: Metric,
    rows: np.ndarray,
    reference: np.ndarray | None,
    membership: Mapping[str, np.ndarray],
    groups: np.ndarray,
) -> None:
    # Each number by itself: a sum of floats would depend on the batch that it was taken over.
    exact = np.asarray(rows.astype(np.int64) if metric.counts else _to_fraction(rows.astype(np.float64)))
    rows = rows.astype(np.float64)
    for name, inside in membership.items():
        key = (name, metric_name)
        zero = 0 if metric.counts else Fraction(0)
        sums = np.full((NUM_GROUPS, rows.shape[1]), zero, exact.dtype)
        np.add.at(sums, groups[inside], exact[inside])
        tally.sums[key] = tally.sums[key] + sums if key in tally.sums else sums
        if metric.kind == "ratio":
            continue
        values = rows[inside, 0]
        tally.squares[key] = tally.squares.get(key, Fraction(0)) + _sum(np.square(values))
        if reference is not None:
            worse = reference[inside, 0].astype(np.float64) - values
            worse = worse if metric.higher_is_better else -worse
            tally.pairs[key] = tally.pairs.get(key, Pairs()) + _pairs(worse)


def _pairs(worse: np.ndarray) -> Pairs:
    return Pairs(
        _sum(worse),
        _sum(np.square(worse)),
        int((worse > 0).sum()),
        int((worse < 0).sum()),
    )


def _sum(values: np.ndarray) -> Fraction:
    return sum(map(Fraction, values.tolist()), Fraction(0))


def _changes(baseline: np.ndarray, given: np.ndarray) -> Iterable[tuple[int, int]]:
    before, after = decide(baseline), decide(given)
    changed = before != after
    return zip(before[changed].tolist(), after[changed].tolist(), strict=True)
