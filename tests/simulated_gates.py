"""Simulated models of which the truth is known, counted and judged by the gate's own functions.

A world draws labels and predictions; what it draws goes through `Accumulator.add`, `judge_thresholds` and
`count_the_choice` as real predictions do. Only fewer random weights are drawn, and no plans are made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from slimline.core.evaluation.accumulators import Accumulator
from slimline.core.evaluation.choosing import count_the_choice, decide, reasons
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.judging import Effort, judge_thresholds
from slimline.core.evaluation.metrics import find_metric
from slimline.core.evaluation.reports import CandidateReport
from slimline.core.evaluation.tasks import Kind, Task

EFFORT = Effort(num_draws=500, with_plans=False)


@dataclass
class Drawn:
    """Examples of one run.

    Attributes:
      labels: Of shape (examples,).
      baseline: Its predictions, of shape (examples, …).
      candidates: Theirs.
      keys: Equal for examples that are not independent; each its own when left out.
      slices: Of each example, without `overall`.
    """

    labels: np.ndarray
    baseline: np.ndarray
    candidates: Sequence[np.ndarray]
    keys: np.ndarray | None = None
    slices: Sequence[str] | None = None


World = Callable[[np.random.Generator], Drawn]


@dataclass
class Gate:
    """A gate that is asked many times.

    Attributes:
      config: With its limits.
      kind: What the models' outputs decide.
    """

    config: GateConfig
    kind: Kind = "binary"
    _known: dict[object, CandidateReport] = field(default_factory=dict)

    def blesses(self, drawn: Drawn) -> bool:
        """Returns whether any candidate may ship."""
        config, task = self.config, Task(self.kind, source="as was said")
        metrics = {
            name: find_metric(name, config.custom_metrics, config.value_ranges, task) for name in config.metric_names
        }
        size = len(drawn.labels)
        keys = np.arange(size) if drawn.keys is None else drawn.keys
        slices = [["overall", *([drawn.slices[row]] if drawn.slices is not None else [])] for row in range(size)]
        predictions = {"": drawn.baseline, **{str(n): one for n, one in enumerate(drawn.candidates)}}
        accumulator = Accumulator()
        accumulator.add(drawn.labels, predictions, metrics, slices, keys.astype(np.uint64), task)
        reports = [self._report(name, metrics, accumulator, drawn.keys) for name in accumulator.models if name]
        return any(report.verdict == "pass" for report in count_the_choice(reports, config))

    def _report(self, name, metrics, accumulator, keys) -> CandidateReport:
        model = accumulator.models[name]
        # The same counts get the same verdict: what was asked once is not asked again.
        seen = tuple((key, frozenset(counts.joint.by_code.items())) for key, counts in sorted(model.metrics.items()))
        exact = (seen, tuple(counts.moments.dd for counts in model.metrics.values()), keys is None)
        if exact not in self._known or keys is not None:
            verdicts = tuple(judge_thresholds(self.config, metrics, accumulator, model, EFFORT))
            outcome, why = decide(verdicts, self.config), reasons(verdicts)
            self._known[exact] = CandidateReport(
                name, "", None, None, None, {}, {}, None, None, None, {}, (), {}, None, outcome, why, verdicts
            )
        report = self._known[exact]
        return CandidateReport(**{**vars(report), "name": name})


def blessed_share(gate: Gate, world: World, num_runs: int, seed: int = 0) -> float:
    """Returns in which share of simulated evaluations something is blessed."""
    generator = np.random.default_rng(seed)
    return float(np.mean([gate.blesses(world(generator)) for _ in range(num_runs)]))


def allowed_share(level: float, num_runs: int) -> float:
    """Returns how often a gate of a level may bless, with three standard errors of a simulation."""
    risk = 1 - level
    return float(risk + 3 * np.sqrt(risk * (1 - risk) / num_runs))
