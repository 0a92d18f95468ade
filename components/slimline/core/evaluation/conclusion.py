"""Compares candidates with the model they came from, on the same examples, and decides which may ship."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from slimline.core.evaluation.accumulators import ModelTally, Tallies
from slimline.core.evaluation.budgets import (
    judge_budgets,
    judge_device,
    judge_target_rules,
    judge_targets,
    measured_on_device,
    require_measured,
)
from slimline.core.evaluation.description import (
    describe_baseline,
    describe_changes,
    describe_slices,
    estimate_drops,
    metric_value,
)
from slimline.core.evaluation.evaluator import Candidate
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.judging import (
    Verdict,
    judge_thresholds,
)
from slimline.core.evaluation.measurement import measure
from slimline.core.evaluation.metrics import Metric, find_metric
from slimline.core.evaluation.ranking import Contender, nearest_miss, pareto_members, rank
from slimline.core.evaluation.slices import OVERALL
from slimline.core.models.loading import TrainedModel
from slimline.core.models.saving import gzip_size
from slimline.core.targets.device import DeviceMeasurement
from slimline.core.targets.report import TargetReport
from slimline.errors import ExamplesError, ModelError
from slimline.names import schema_versions

Decision: TypeAlias = Literal["pass", "fail", "undecided"]
Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class CandidateReport:
    """All that is known of a candidate after the evaluation.

    Attributes:
      name: As given.
      scheme: As given.
      content_digest: `sha256:<hex>` of the `.tflite` file; None when it could not be read.
      size_bytes: Of the file.
      gzip_bytes: Of the file after gzip at level 9.
      metrics: Value by metric; empty when the model could not be evaluated.
      drop: Loss against the baseline by metric, negative for a gain.
      latency_ms: Median of one inference on this host, one thread.
      latency_p90_ms: 90th percentile of the same.
      memory_bytes: What the model, its tensors and kernels took at most on this host.
      slices: By slice and metric: value, drop, and the drop's bounds.
      changes: Decisions that are not the baseline's: its class, the candidate's, and how often.
      targets: What each target makes of the file.
      device: Figures measured on a device.
      verdict: `pass`, `fail` or `undecided`.
      reasons: One sentence per limit that failed or is undecided, or, for a pass, per limit that held.
      verdicts: Every limit on every slice.
      is_pareto: Whether no other candidate is as good in loss, size and latency and better in one.
    """

    name: str
    scheme: str
    content_digest: str | None
    size_bytes: int | None
    gzip_bytes: int | None
    metrics: Mapping[str, float]
    drop: Mapping[str, float]
    latency_ms: float | None
    latency_p90_ms: float | None
    memory_bytes: int | None
    slices: Mapping[str, Mapping[str, Any]]
    changes: Sequence[tuple[int, int, int]]
    targets: Mapping[str, TargetReport]
    device: DeviceMeasurement | None
    verdict: Decision
    reasons: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    is_pareto: bool = False


@dataclass(frozen=True)
class Evaluation:
    """The whole comparison.

    Attributes:
      num_examples: Examples that all models saw.
      primary_metric: The first threshold's metric.
      config: The gate's configuration.
      slices: Examples in each slice.
      baseline: Metrics of the original model, with size and latency of its plain float32 conversion.
      candidates: In the order given.
      chosen: Name of the candidate to ship, or None.
      nearest_miss: Name of the candidate that came closest when none passes.
      warnings: What a reader should know of the examples.
    """

    num_examples: int
    primary_metric: str
    config: Mapping[str, Any]
    slices: Mapping[str, int]
    baseline: Mapping[str, Any]
    candidates: tuple[CandidateReport, ...]
    chosen: str | None
    nearest_miss: str | None
    warnings: tuple[str, ...] = ()
    schema_version: int = field(default=schema_versions.EVALUATION)

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of `evaluation.json`, in full precision."""
        return asdict(self)

    def report_of(self, name: str) -> CandidateReport:
        """Returns one candidate's report."""
        return next(report for report in self.candidates if report.name == name)

    @property
    def decision(self) -> Decision:
        """Whether a candidate passes; if none does, whether more examples could change that."""
        if self.chosen is not None:
            return "pass"
        return "undecided" if any(report.verdict == "undecided" for report in self.candidates) else "fail"


def conclude(
    baseline: TrainedModel,
    candidates: Sequence[Candidate],
    tallies: Tallies,
    example: Mapping[str, np.ndarray],
    config: GateConfig,
    *,
    warnings: Sequence[str] = (),
    tell: Tell = lambda text: None,
) -> Evaluation:
    """Measures the files themselves, applies the limits to what was counted, and chooses.

    Args:
      baseline: The Trainer's model.
      candidates: At least one, with different names.
      tallies: What `Evaluator` counted over all examples.
      example: Inputs of one example, each of shape (1, …), to time the models with.
      config: Metrics, limits and goal.
      warnings: What a reader should know of the examples.
      tell: Takes a line for each step.

    Raises:
      ModelError: The baseline can't be evaluated: then nothing can be blessed.
      ExamplesError: There are no examples.
      ConfigError: A threshold names a slice that is not there, a target's runtime is not installed, or a measurement
        is that of another file.
    """
    if tallies.errors:
        raise tallies.errors[0]
    require_measured(config, [candidate.name for candidate in candidates])
    if OVERALL not in tallies.num_examples:
        raise ExamplesError("no examples to evaluate on", "at least one", "check the split that the gate reads")
    metrics = {name: find_metric(name, config.custom_metrics) for name in config.metric_names}
    described = describe_baseline(baseline, tallies, metrics, example, config)
    judged = []
    for candidate in candidates:
        tell(f"judging {candidate.name}")
        judged.append(_Judged(candidate, tallies, metrics, described, example, config))
    contenders = {one.report.name: one.contender for one in judged if one.contender is not None}
    passed = {one.report.name: contenders[one.report.name] for one in judged if one.report.verdict == "pass"}
    best = set(pareto_members(contenders))
    chosen = next(iter(rank(passed, config.goal)), None)
    return Evaluation(
        num_examples=int(tallies.num_examples[OVERALL].sum()),
        primary_metric=config.metric_names[0],
        config=config.model_dump(mode="json"),
        slices={name: int(numbers.sum()) for name, numbers in sorted(tallies.num_examples.items())},
        baseline=described,
        candidates=tuple(_mark(one.report, best) for one in judged),
        chosen=chosen,
        nearest_miss=None if chosen else nearest_miss({one.report.name: one.report.verdicts for one in judged}),
        warnings=tuple(warnings),
    )


def _mark(report: CandidateReport, best: set[str]) -> CandidateReport:
    return CandidateReport(**{**vars(report), "is_pareto": report.name in best})


class _Judged:
    """One candidate with what it is compared by; a candidate that could not be evaluated has no contender."""

    def __init__(
        self,
        candidate: Candidate,
        tallies: Tallies,
        metrics: Mapping[str, Metric],
        baseline: Mapping[str, Any],
        example: Mapping[str, np.ndarray],
        config: GateConfig,
    ) -> None:
        tally = tallies.models.get(candidate.name, ModelTally())
        measured, failure = None, tally.failure
        if not failure and isinstance(candidate.content, bytes):
            try:
                measured = measure(candidate.content, candidate.name, example, config)
            except ModelError as error:
                failure = error.found
        self.contender: Contender | None = None
        if measured is None or not isinstance(candidate.content, bytes):
            self.report = _rejected(candidate, failure)
            return
        targets = judge_targets(candidate.content, example, config)
        device = measured_on_device(candidate, config)
        verdicts = [
            *judge_thresholds(config, metrics, tallies.models[""], tally, tallies.num_examples),
            *judge_budgets(measured, baseline, config),
            *judge_device(device, config),
            *judge_target_rules(targets, config),
        ]
        drops = estimate_drops(metrics, tallies, tally, OVERALL, config)
        self.report = CandidateReport(
            name=candidate.name,
            scheme=candidate.scheme,
            content_digest=_digest(candidate.content),
            size_bytes=measured.size_bytes,
            gzip_bytes=measured.gzip_bytes,
            metrics={name: metric_value(metrics, tallies, tally, OVERALL, name) for name in metrics},
            drop={name: estimate.value for name, estimate in drops.items()},
            latency_ms=measured.latency.p50_ms,
            latency_p90_ms=measured.latency.p90_ms,
            memory_bytes=measured.memory_bytes,
            slices=describe_slices(metrics, tallies, tally, config),
            changes=describe_changes(tally),
            targets=targets,
            device=device,
            verdict=_decide(verdicts, config),
            reasons=_reasons(verdicts),
            verdicts=tuple(verdicts),
        )
        primary = config.metric_names[0]
        loss = self.report.drop.get(primary, -self.report.metrics[primary])
        self.contender = Contender(loss, measured.size_bytes, measured.gzip_bytes, measured.latency.p50_ms)


def _rejected(candidate: Candidate, failure: str) -> CandidateReport:
    """Reports the file alone, as what a candidate gets that could not be evaluated."""
    known = candidate.content if isinstance(candidate.content, bytes) else None
    return CandidateReport(
        name=candidate.name,
        scheme=candidate.scheme,
        content_digest=None if known is None else _digest(known),
        size_bytes=None if known is None else len(known),
        gzip_bytes=None if known is None else gzip_size(known),
        metrics={},
        drop={},
        latency_ms=None,
        latency_p90_ms=None,
        memory_bytes=None,
        slices={},
        changes=(),
        targets={},
        device=None,
        verdict="fail",
        reasons=(failure,),
        verdicts=(),
    )


def _decide(verdicts: Sequence[Verdict], config: GateConfig) -> Decision:
    outcomes = {verdict.outcome for verdict in verdicts}
    if "fail" in outcomes:
        return "fail"
    return "undecided" if "undecided" in outcomes and config.undecided == "refuse" else "pass"


def _reasons(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    missed = tuple(verdict.text for verdict in verdicts if verdict.outcome in ("fail", "undecided"))
    return missed or tuple(verdict.text for verdict in verdicts if verdict.outcome == "pass")


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
