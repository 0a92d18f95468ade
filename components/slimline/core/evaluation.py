"""Compares candidates with the model they came from, on the same examples, and decides which may ship."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from slimline import names
from slimline.core.choice import Contender, nearest_miss, pareto_members, rank
from slimline.core.device import DeviceMeasurement, read_measurement
from slimline.core.evaluator import Candidate
from slimline.core.gates import GateConfig
from slimline.core.intake import TrainedModel
from slimline.core.intervals import Estimate
from slimline.core.judging import (
    Verdict,
    estimate_drop,
    judge_figure,
    judge_thresholds,
    value_of,
)
from slimline.core.measurement import Measurement, measure
from slimline.core.metrics import Metric, find_metric
from slimline.core.model_io import gzip_size
from slimline.core.quantization import QuantizationConfig, quantize
from slimline.core.schemes import Target
from slimline.core.slices import OVERALL
from slimline.core.tallies import ModelTally, Tallies
from slimline.core.targets import judge_target
from slimline.core.targets.report import TargetReport
from slimline.errors import ExamplesError, ModelError

_NUM_CHANGES = 20

Decision: TypeAlias = Literal["pass", "fail", "undecided"]
Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class CandidateReport:
    """All that is known of a candidate after the evaluation.

    Attributes:
      name: As given.
      scheme: As given.
      content_digest: `sha256:<hex>` of the `.tflite` file; nothing when it could not be read.
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
      chosen: Name of the candidate to ship, or nothing.
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
    schema_version: int = field(default=names.EVALUATION_VERSION)

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
    if OVERALL not in tallies.num_examples:
        raise ExamplesError("no examples to evaluate on", "at least one", "check the split that the gate reads")
    metrics = {name: find_metric(name, config.custom_metrics) for name in config.metric_names}
    described = _describe_baseline(baseline, tallies, metrics, example, config)
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
        targets = _judge_targets(candidate.content, example, config)
        device = _measured_on_device(candidate, config)
        verdicts = [
            *judge_thresholds(config, metrics, tallies.models[""], tally, tallies.num_examples),
            *_judge_budgets(measured, baseline, config),
            *_judge_device(device, config),
            *_judge_targets_rules(targets, config),
        ]
        drops = _drops(metrics, tallies, tally, OVERALL, config)
        self.report = CandidateReport(
            name=candidate.name,
            scheme=candidate.scheme,
            content_digest=_digest(candidate.content),
            size_bytes=measured.size_bytes,
            gzip_bytes=measured.gzip_bytes,
            metrics={name: _value(metrics, tallies, tally, OVERALL, name) for name in metrics},
            drop={name: estimate.value for name, estimate in drops.items()},
            latency_ms=measured.latency.p50_ms,
            latency_p90_ms=measured.latency.p90_ms,
            memory_bytes=measured.memory_bytes,
            slices=_describe_slices(metrics, tallies, tally, config),
            changes=_describe_changes(tally),
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


def _judge_targets(content: bytes, example: Mapping[str, np.ndarray], config: GateConfig) -> dict[str, TargetReport]:
    names: list[Target] = [rule.target for rule in config.targets]
    return {name: judge_target(name, content, example) for name in names}


def _judge_budgets(measured: Measurement, baseline: Mapping[str, Any], config: GateConfig) -> list[Verdict]:
    figures: list[tuple[str, float | None, float | None]] = [
        ("size in bytes", measured.size_bytes, config.max_size_bytes),
        ("gzip size in bytes", measured.gzip_bytes, config.max_gzip_bytes),
        ("memory in bytes on this host", measured.memory_bytes, config.max_memory_bytes),
        (
            "median latency / baseline's",
            _ratio(measured.latency.p50_ms, baseline["latency_ms"]),
            config.max_latency_ratio,
        ),
        (
            "90th percentile of latency / baseline's",
            _ratio(measured.latency.p90_ms, baseline["latency_p90_ms"]),
            config.max_latency_p90_ratio,
        ),
    ]
    return [judge_figure(subject, value, limit) for subject, value, limit in figures if limit is not None]


def _ratio(value: float, reference: float | None) -> float | None:
    return value / reference if reference else None


def _measured_on_device(candidate: Candidate, config: GateConfig) -> DeviceMeasurement | None:
    path = config.device.measurements.get(candidate.name) if config.device else None
    if path is None:
        return None
    return read_measurement(path, len(candidate.content) if isinstance(candidate.content, bytes) else None)


def _judge_device(device: DeviceMeasurement | None, config: GateConfig) -> list[Verdict]:
    if config.device is None:
        return []
    latency_ms = device.latency_ms[config.device.figure] if device else None
    subject = f"device latency in ms ({config.device.figure})"
    return [judge_figure(subject, latency_ms, config.device.max_latency_ms)]


def _judge_targets_rules(targets: Mapping[str, TargetReport], config: GateConfig) -> list[Verdict]:
    verdicts = []
    for rule in config.targets:
        report = targets[rule.target]
        reason = "" if report.runs else f": {'; '.join(report.reasons)}"
        text = f"{rule.target} {'runs' if report.runs else 'does not run'} it{reason}"
        outcome: Literal["pass", "fail"] = "pass" if report.runs else "fail"
        runs = float(report.runs)
        verdicts.append(Verdict(f"runs on {rule.target}", "", 1, False, runs, None, None, None, outcome, None, text))
        if rule.min_accelerated_share > 0:
            # As a limit on what is left over, so that there is one way to compare.
            left = judge_figure(
                f"share of the work that {rule.target} does not accelerate",
                1 - report.accelerated_share,
                1 - rule.min_accelerated_share,
            )
            verdicts.append(left)
        if rule.max_arena_bytes is not None:
            verdicts.append(judge_figure("arena in bytes", report.arena_bytes, rule.max_arena_bytes))
    return verdicts


def _decide(verdicts: Sequence[Verdict], config: GateConfig) -> Decision:
    outcomes = {verdict.outcome for verdict in verdicts}
    if "fail" in outcomes:
        return "fail"
    return "undecided" if "undecided" in outcomes and config.undecided == "refuse" else "pass"


def _reasons(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    missed = tuple(verdict.text for verdict in verdicts if verdict.outcome in ("fail", "undecided"))
    return missed or tuple(verdict.text for verdict in verdicts if verdict.outcome == "pass")


def _value(metrics: Mapping[str, Metric], tallies: Tallies, tally: ModelTally, slice_name: str, name: str) -> float:
    return value_of(metrics[name], tally.sums[slice_name, name], tallies.num_examples[slice_name])


def _drops(
    metrics: Mapping[str, Metric], tallies: Tallies, tally: ModelTally, slice_name: str, config: GateConfig
) -> dict[str, Estimate]:
    """Estimates the drop of every metric that the baseline has a value of."""
    level = config.confidence or 0.95
    numbers = tallies.num_examples[slice_name]
    return {
        name: estimate_drop(metric, name, tallies.models[""], tally, slice_name, numbers, level)
        for name, metric in metrics.items()
        if metric.of_baseline is None or np.isfinite(metric.of_baseline)
    }


def _describe_slices(
    metrics: Mapping[str, Metric], tallies: Tallies, tally: ModelTally, config: GateConfig
) -> dict[str, dict[str, Any]]:
    described: dict[str, dict[str, Any]] = {}
    for slice_name in sorted(tallies.num_examples):
        described[slice_name] = {}
        for name in metrics:
            try:
                drop = _drops({name: metrics[name]}, tallies, tally, slice_name, config).get(name)
                value = _value(metrics, tallies, tally, slice_name, name)
            except ExamplesError as error:
                # One class only, say: the metric has no value on this slice.
                described[slice_name][name] = {"unknown": error.found}
                continue
            bounds = {"drop": drop.value, "lower": _finite(drop.lower), "upper": _finite(drop.upper)} if drop else {}
            described[slice_name][name] = {"value": value, **bounds}
    return described


def _describe_changes(tally: ModelTally) -> list[tuple[int, int, int]]:
    ordered = sorted(tally.changes.items(), key=lambda item: (-item[1], item[0]))
    return [(before, after, number) for (before, after), number in ordered[:_NUM_CHANGES]]


def _describe_baseline(
    baseline: TrainedModel,
    tallies: Tallies,
    metrics: Mapping[str, Metric],
    example: Mapping[str, np.ndarray],
    config: GateConfig,
) -> dict[str, Any]:
    """Describes the original; a Keras model has no file size to compare with, its plain conversion has."""
    tally = tallies.models[""]

    def value(name: str, metric: Metric) -> float | None:
        if metric.of_baseline is not None:
            return _finite(metric.of_baseline)
        return _value(metrics, tallies, tally, OVERALL, name)

    values = {name: value(name, metric) for name, metric in metrics.items()}
    figures: dict[str, Any] = {"metrics": {name: number for name, number in values.items() if number is not None}}
    try:
        content = quantize(baseline, QuantizationConfig(scheme="float32"))
        measured = measure(content, "the baseline's conversion", example, config)
    except ModelError as error:
        unknown = dict.fromkeys(("size_bytes", "gzip_bytes", "latency_ms", "latency_p90_ms", "memory_bytes"))
        return {**figures, **unknown, "not_converted": error.found}
    return {
        **figures,
        "size_bytes": measured.size_bytes,
        "gzip_bytes": measured.gzip_bytes,
        "latency_ms": measured.latency.p50_ms,
        "latency_p90_ms": measured.latency.p90_ms,
        "memory_bytes": measured.memory_bytes,
    }


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
