"""Compares candidates with the model they came from, on the same examples, and decides which may ship."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from slimline.core.digest import content_digest
from slimline.core.evaluation.accumulators import Accumulator, ModelAccumulator
from slimline.core.evaluation.budgets import (
    judge_budgets,
    judge_device,
    judge_target_rules,
    judge_targets,
    measured_on_device,
    require_measured,
    storage_bytes,
)
from slimline.core.evaluation.choosing import count_the_choice, decide, reasons
from slimline.core.evaluation.description import (
    describe_baseline,
    describe_changes,
    describe_examples,
    describe_slices,
    estimate_drop,
    metric_values,
)
from slimline.core.evaluation.evaluator import choose_output
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.judging import Verdict, judge_thresholds
from slimline.core.evaluation.measurement import Measurement, measure
from slimline.core.evaluation.metrics import Metric, find_metric
from slimline.core.evaluation.ranking import Contender, nearest_miss, pareto_members, rank_candidates
from slimline.core.evaluation.reports import CandidateReport, Evaluation
from slimline.core.evaluation.running_candidate import Candidate
from slimline.core.evaluation.slices import OVERALL
from slimline.core.evaluation.tasks import find_task
from slimline.core.models.loading import TrainedModel
from slimline.core.models.saving import gzip_size
from slimline.core.targets.device import DeviceMeasurement
from slimline.core.targets.report import TargetReport
from slimline.errors import ExamplesError, ModelError

Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class _Setting:
    """What all candidates are judged with."""

    baseline: Mapping[str, Any]
    accumulator: Accumulator
    metrics: Mapping[str, Metric]
    examples: Mapping[str, np.ndarray]
    config: GateConfig

    @property
    def example(self) -> dict[str, np.ndarray]:
        return {name: values[:1] for name, values in self.examples.items()}


def conclude(
    baseline: TrainedModel,
    candidates: Sequence[Candidate],
    accumulator: Accumulator,
    examples: Mapping[str, np.ndarray],
    config: GateConfig,
    *,
    warnings: Sequence[str] = (),
    tell: Tell = lambda text: None,
) -> Evaluation:
    """Measures the files themselves, applies the limits to what was counted, and chooses.

    Args:
      baseline: The Trainer's model.
      candidates: At least one, with different names.
      accumulator: What `Evaluator` counted over all examples.
      examples: Inputs of at least one example, each of shape (examples, …): targets run them, the first one is timed.
      config: Metrics, limits and goal.
      warnings: What a reader should know of the examples.
      tell: Takes a line for each step.

    Raises:
      ModelError: The baseline can't be evaluated: then nothing can be blessed.
      ExamplesError: There are no examples.
      ConfigError: A threshold names a slice that is not there, a target's runtime is not installed, or a measurement
        is that of another file.
    """
    if accumulator.errors:
        raise accumulator.errors[0]
    require_measured(config, [candidate.name for candidate in candidates])
    if OVERALL not in accumulator.num_examples:
        raise ExamplesError("no examples to evaluate on", "at least one", "check the split that the gate reads")
    task = find_task(baseline, choose_output(baseline, config.output), config.task)
    metrics = {
        name: find_metric(name, config.custom_metrics, config.value_ranges, task) for name in config.metric_names
    }
    example = {name: values[:1] for name, values in examples.items()}
    described = describe_baseline(baseline, accumulator, metrics, example, config)
    setting = _Setting(described, accumulator, metrics, examples, config)
    reports = []
    for candidate in candidates:
        tell(f"judging {candidate.name}")
        reports.append(_judge(candidate, setting))
    reports = count_the_choice(reports, config)
    contenders = {report.name: _contender(report, config) for report in reports if report.metrics}
    best = set(pareto_members(contenders))
    passed = {report.name: contenders[report.name] for report in reports if report.verdict == "pass"}
    chosen = next(iter(rank_candidates(passed, config.goal)), None)
    return Evaluation(
        num_examples=accumulator.num_examples[OVERALL],
        primary_metric=config.metric_names[0],
        config=config.model_dump(mode="json"),
        slices=dict(sorted(accumulator.num_examples.items())),
        baseline=described,
        candidates=tuple(replace(report, is_pareto=report.name in best) for report in reports),
        chosen=chosen,
        nearest_miss=None if chosen else nearest_miss({report.name: report.verdicts for report in reports}),
        task=f"{task.name} ({task.source})",
        warnings=(*warnings, *describe_examples(accumulator, config)),
    )


def _judge(candidate: Candidate, setting: _Setting) -> CandidateReport:
    """Judges one candidate as if it were the only one."""
    config, model = setting.config, setting.accumulator.models.get(candidate.name, ModelAccumulator())
    failure = model.failure
    if not isinstance(candidate.content, bytes):
        return _rejected(candidate, failure or candidate.content.found)
    if not failure and model.content_digest not in ("", content_digest(candidate.content)):
        failure = f"it was measured as {model.content_digest}, and is {content_digest(candidate.content)} now"
    try:
        measured = None if failure else measure(candidate.content, candidate.name, setting.example, config)
    except ModelError as error:
        measured, failure = None, error.found
    if measured is None:
        return _rejected(candidate, failure)
    targets = judge_targets(candidate.content, setting.examples, config)
    device = measured_on_device(candidate, config)
    verdicts = (
        *judge_thresholds(config, setting.metrics, setting.accumulator, model),
        *judge_budgets(measured, setting.baseline, config),
        *judge_device(device, config),
        *judge_target_rules(targets, config),
    )
    return _report(candidate, candidate.content, setting, measured, verdicts, targets, device)


def _report(
    candidate: Candidate,
    content: bytes,
    setting: _Setting,
    measured: Measurement,
    verdicts: tuple[Verdict, ...],
    targets: Mapping[str, TargetReport],
    device: DeviceMeasurement | None,
) -> CandidateReport:
    model, metrics = setting.accumulator.models[candidate.name], setting.metrics
    drops = {
        name: estimate_drop(metric, name, setting.accumulator, model, OVERALL, setting.config)
        for name, metric in metrics.items()
    }
    return CandidateReport(
        name=candidate.name,
        scheme=candidate.scheme,
        content_digest=content_digest(content),
        size_bytes=measured.size_bytes,
        gzip_bytes=measured.gzip_bytes,
        metrics=metric_values(metrics, model, OVERALL),
        drop={name: drop.value for name, drop in drops.items() if drop is not None},
        latency_ms=measured.latency.p50_ms,
        latency_p90_ms=measured.latency.p90_ms,
        memory_bytes=measured.memory_bytes,
        slices=describe_slices(metrics, setting.accumulator, model, setting.config),
        changes=describe_changes(model),
        targets=targets,
        device=device,
        verdict=decide(verdicts, setting.config),
        reasons=reasons(verdicts),
        verdicts=verdicts,
    )


def _contender(report: CandidateReport, config: GateConfig) -> Contender:
    primary = config.metric_names[0]
    compiled = report.targets.get("ethos_u")
    return Contender(
        loss=report.drop.get(primary, -report.metrics.get(primary, 0.0)),
        size_bytes=report.size_bytes or 0,
        gzip_bytes=report.gzip_bytes or 0,
        latency_ms=report.latency_ms,
        target_bytes=storage_bytes(compiled) if compiled else None,
        target_latency_us=compiled.details.get("npu_latency_us") if compiled else None,
    )


def _rejected(candidate: Candidate, failure: str) -> CandidateReport:
    """Reports the file alone, as what a candidate gets that could not be evaluated."""
    known = candidate.content if isinstance(candidate.content, bytes) else None
    return CandidateReport(
        name=candidate.name,
        scheme=candidate.scheme,
        content_digest=None if known is None else content_digest(known),
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
