"""What is counted while models are evaluated: it merges in any order into exactly the same figures."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from slimline.core.evaluation.classes import predicted_classes
from slimline.core.evaluation.counting import Seen
from slimline.core.evaluation.metrics import Metric
from slimline.core.evaluation.statistics.evidence import MetricCounts
from slimline.core.evaluation.tasks import Task
from slimline.errors import ExamplesError

_MAX_SLICES = 1_000
# With more classes than this, which decisions changed is no table that anybody reads.
_MAX_CLASSES = 100

# By slice and metric.
Key: TypeAlias = tuple[str, str]


@dataclass
class ModelAccumulator:
    """What was counted of one model.

    Attributes:
      metrics: Counts by slice and metric.
      changes: How often the baseline decided for one class and this model for another.
      decisions: How often it decided for each class.
      failure: Why the model could not be evaluated to the end.
      content_digest: Of the file that was measured; empty for the baseline.
    """

    metrics: dict[Key, MetricCounts] = field(default_factory=dict)
    changes: Counter[tuple[int, int]] = field(default_factory=Counter)
    decisions: Counter[int] = field(default_factory=Counter)
    failure: str = ""
    content_digest: str = ""

    def merge(self, other: "ModelAccumulator") -> None:
        """Adds what was counted elsewhere to this."""
        for key, counts in other.metrics.items():
            self.metrics.setdefault(key, MetricCounts.empty()).merge(counts)
        self.changes.update(other.changes)
        self.decisions.update(other.decisions)
        failures = [self.failure, other.failure]
        if self.content_digest and other.content_digest and self.content_digest != other.content_digest:
            failures.append("its file changed while it was measured")
        self.content_digest = max(self.content_digest, other.content_digest)
        self.failure = min(filter(None, failures), default="")


@dataclass
class Accumulator:
    """Everything that was counted of some of the examples.

    Attributes:
      num_examples: By slice.
      keys: By slice, what tells independent examples apart: parts, each of unsigned 64-bit hashes.
      models: By name; the baseline's name is empty.
      metric_errors: By metric of the user's own, what its function raised.
      errors: What was wrong with files.
    """

    num_examples: dict[str, int] = field(default_factory=dict)
    keys: dict[str, list[np.ndarray]] = field(default_factory=dict)
    models: dict[str, ModelAccumulator] = field(default_factory=dict)
    metric_errors: dict[str, str] = field(default_factory=dict)
    errors: tuple[ExamplesError, ...] = ()

    def merge(self, other: "Accumulator") -> "Accumulator":
        """Adds what was counted elsewhere to this and returns it."""
        for name, number in other.num_examples.items():
            self.num_examples[name] = self.num_examples.get(name, 0) + number
        for name, keys in other.keys.items():
            self.keys.setdefault(name, []).extend(keys)
        for name, model in other.models.items():
            self.models.setdefault(name, ModelAccumulator()).merge(model)
        for name, text in other.metric_errors.items():
            self.metric_errors[name] = min(text, self.metric_errors.get(name, text))
        self.errors = tuple(sorted({*self.errors, *other.errors}, key=str))
        self._require_few_slices()
        return self

    def add(
        self,
        labels: np.ndarray,
        predictions: Mapping[str, np.ndarray],
        metrics: Mapping[str, Metric],
        slices: Sequence[Sequence[str]],
        keys: np.ndarray,
        task: Task | None = None,
    ) -> None:
        """Counts a batch.

        Args:
          labels: Of shape (batch, …).
          predictions: By model, the baseline's under the empty name; those of a model that failed are missing.
          metrics: By name.
          slices: The slices of each example.
          keys: Hash of what makes each example independent of others, of shape (batch,).
          task: What predictions decide; one class for each example when left out.
        """
        membership = _membership(slices)
        for name, inside in membership.items():
            self.num_examples[name] = self.num_examples.get(name, 0) + len(inside)
            self.keys.setdefault(name, []).append(keys[inside])
        self._require_few_slices()
        baseline, task = predictions[""], task or Task()
        for model, given in predictions.items():
            accumulator = self.models.setdefault(model, ModelAccumulator())
            self._count(accumulator, Seen(labels, given, baseline, task), metrics, membership)
            if not task.has_many and given.reshape(len(given), -1).shape[1] <= _MAX_CLASSES:
                before, after = task.probabilities(baseline), task.probabilities(given)
                accumulator.decisions.update(predicted_classes(after).tolist())
                accumulator.changes.update(_changes(before, after))

    def _count(
        self,
        accumulator: ModelAccumulator,
        seen: Seen,
        metrics: Mapping[str, Metric],
        membership: Mapping[str, np.ndarray],
    ) -> None:
        for name, metric in metrics.items():
            if name in self.metric_errors:
                continue
            try:
                counted = metric.count(seen)
            # What the user's own function raises says nothing of models or examples: the other metrics go on.
            except Exception as error:
                if not metric.is_own:
                    raise
                self.metric_errors[name] = f"{type(error).__name__}: {error}"
                continue
            for slice_name, inside in membership.items():
                counts = accumulator.metrics.setdefault((slice_name, name), MetricCounts.empty())
                if counted.codes is not None:
                    counts.joint.add(counted.codes[inside])
                if counted.numbers is not None:
                    counts.moments.add(counted.numbers[0][inside], counted.numbers[1][inside])

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


def _changes(baseline: np.ndarray, given: np.ndarray) -> Iterable[tuple[int, int]]:
    before, after = predicted_classes(baseline), predicted_classes(given)
    changed = before != after
    return zip(before[changed].tolist(), after[changed].tolist(), strict=True)
