"""Puts what was counted into the figures of a report: values, drops with their bounds, changed decisions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from slimline.core.evaluation.accumulators import Accumulator, ModelAccumulator
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.measurement import measure
from slimline.core.evaluation.metrics import Metric
from slimline.core.evaluation.slices import OVERALL
from slimline.core.evaluation.statistics.evidence import Evidence, Question
from slimline.core.evaluation.statistics.independence import describe_copies, find_clusters
from slimline.core.models.loading import TrainedModel
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.errors import ExamplesError, ModelError

_NUM_CHANGES = 20
_MIN_EXAMPLES = 30


def metric_values(metrics: Mapping[str, Metric], model: ModelAccumulator, slice_name: str) -> dict[str, float]:
    """Returns the value of each metric on a slice; those that have none there are left out."""
    values = {}
    for name, metric in metrics.items():
        counts = model.metrics.get((slice_name, name))
        if counts is not None:
            value = metric.statistic.values(counts)[1]
            if np.isfinite(value):
                values[name] = value
    return values


def estimate_drop(
    metric: Metric, name: str, accumulator: Accumulator, model: ModelAccumulator, slice_name: str, config: GateConfig
) -> Evidence | None:
    """Estimates the drop of a metric on a slice; None when the baseline has no value, or nothing was counted."""
    counts = model.metrics.get((slice_name, name))
    if counts is None or not metric.has_baseline:
        return None
    design = find_clusters(accumulator.keys[slice_name]).design
    return metric.statistic.drop(counts, Question(0.0, config.confidence or 0.95, design, config.looks == "anytime"))


def describe_slices(
    metrics: Mapping[str, Metric], accumulator: Accumulator, model: ModelAccumulator, config: GateConfig
) -> dict[str, dict[str, Any]]:
    """Returns for each slice and metric the value, the drop and its bounds, or why there is none."""
    return {
        slice_name: {
            name: _describe_slice(metrics[name], name, accumulator, model, slice_name, config) for name in metrics
        }
        for slice_name in sorted(accumulator.num_examples)
    }


def _describe_slice(
    metric: Metric, name: str, accumulator: Accumulator, model: ModelAccumulator, slice_name: str, config: GateConfig
) -> dict[str, Any]:
    counts = model.metrics.get((slice_name, name))
    if counts is None:
        return {"unknown": f"the metric's own function raised {accumulator.metric_errors.get(name, 'an error')}"}
    try:
        value = metric.statistic.values(counts)[1]
        drop = estimate_drop(metric, name, accumulator, model, slice_name, config)
    except ExamplesError as error:
        # One class only, say: the metric has no value on this slice.
        return {"unknown": error.found}
    described = {"value": finite_or_none(value)}
    if drop is not None:
        described |= {"drop": drop.value, "lower": finite_or_none(drop.lower), "upper": finite_or_none(drop.upper)}
    return described


def describe_changes(model: ModelAccumulator) -> list[tuple[int, int, int]]:
    """Returns the most frequent decisions that are not the baseline's: its class, the candidate's, how often."""
    ordered = sorted(model.changes.items(), key=lambda item: (-item[1], item[0]))
    return [(before, after, number) for (before, after), number in ordered[:_NUM_CHANGES]]


def describe_examples(accumulator: Accumulator, config: GateConfig) -> tuple[str, ...]:
    """Returns what a reader should know of the examples: copies, and a baseline that never changes its mind."""
    warnings = describe_copies(find_clusters(accumulator.keys[OVERALL])) if config.independent_by is None else ()
    decisions = accumulator.models[""].decisions
    if len(decisions) == 1 and sum(decisions.values()) >= _MIN_EXAMPLES:
        (only,) = decisions
        warnings += (
            f"the baseline decides for class {only} on all {sum(decisions.values()):,} examples: a metric of classes "
            "says little of them",
        )
    return warnings


def describe_baseline(
    baseline: TrainedModel,
    accumulator: Accumulator,
    metrics: Mapping[str, Metric],
    example: Mapping[str, np.ndarray],
    config: GateConfig,
) -> dict[str, Any]:
    """Describes the original; a Keras model has no file size to compare with, its plain conversion has."""
    of_baseline = {name: metric for name, metric in metrics.items() if metric.has_baseline}
    figures: dict[str, Any] = {"metrics": metric_values(of_baseline, accumulator.models[""], OVERALL)}
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


def finite_or_none(value: float) -> float | None:
    """Returns a number that JSON can hold, or None."""
    return value if np.isfinite(value) else None
