"""Puts what was counted into the figures of a report: values, drops with their bounds, changed decisions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from slimline.core.evaluation.accumulators import ModelTally, Tallies
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.intervals import Estimate
from slimline.core.evaluation.judging import estimate_drop, value_of
from slimline.core.evaluation.measurement import measure
from slimline.core.evaluation.metrics import Metric
from slimline.core.evaluation.slices import OVERALL
from slimline.core.models.loading import TrainedModel
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.errors import ExamplesError, ModelError

_NUM_CHANGES = 20


def metric_value(
    metrics: Mapping[str, Metric], tallies: Tallies, tally: ModelTally, slice_name: str, name: str
) -> float:
    """Returns the value of a metric on a slice."""
    return value_of(metrics[name], tally.sums[slice_name, name], tallies.num_examples[slice_name])


def estimate_drops(
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


def describe_slices(
    metrics: Mapping[str, Metric], tallies: Tallies, tally: ModelTally, config: GateConfig
) -> dict[str, dict[str, Any]]:
    """Returns for each slice and metric the value, the drop and its bounds, or why there is none."""
    described: dict[str, dict[str, Any]] = {}
    for slice_name in sorted(tallies.num_examples):
        described[slice_name] = {}
        for name in metrics:
            try:
                drop = estimate_drops({name: metrics[name]}, tallies, tally, slice_name, config).get(name)
                value = metric_value(metrics, tallies, tally, slice_name, name)
            except ExamplesError as error:
                # One class only, say: the metric has no value on this slice.
                described[slice_name][name] = {"unknown": error.found}
                continue
            bounds = (
                {"drop": drop.value, "lower": finite_or_none(drop.lower), "upper": finite_or_none(drop.upper)}
                if drop
                else {}
            )
            described[slice_name][name] = {"value": value, **bounds}
    return described


def describe_changes(tally: ModelTally) -> list[tuple[int, int, int]]:
    """Returns the most frequent decisions that are not the baseline's: its class, the candidate's, how often."""
    ordered = sorted(tally.changes.items(), key=lambda item: (-item[1], item[0]))
    return [(before, after, number) for (before, after), number in ordered[:_NUM_CHANGES]]


def describe_baseline(
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
            return finite_or_none(metric.of_baseline)
        return metric_value(metrics, tallies, tally, OVERALL, name)

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


def finite_or_none(value: float) -> float | None:
    """Returns a number that JSON can hold, or None."""
    return value if np.isfinite(value) else None
