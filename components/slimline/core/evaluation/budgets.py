"""Applies limits to a candidate's file itself: bytes, latency and memory here, latency on a device, and targets."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.judging import Verdict, judge_figure
from slimline.core.evaluation.measurement import Measurement
from slimline.core.evaluation.running_candidate import Candidate
from slimline.core.targets.device import DeviceMeasurement, read_measurement
from slimline.core.targets.judging import judge_target
from slimline.core.targets.report import TargetReport
from slimline.errors import ConfigError, near_miss


def judge_targets(content: bytes, examples: Mapping[str, np.ndarray], config: GateConfig) -> dict[str, TargetReport]:
    """Returns what each target of the configuration makes of a file.

    Args:
      content: Bytes of a `.tflite` file.
      examples: Real values by input name, each of shape (examples, …).
      config: With the targets.
    """
    return {rule.target: judge_target(rule.target, content, examples, rule.ethos_u) for rule in config.targets}


def judge_budgets(measured: Measurement, baseline: Mapping[str, Any], config: GateConfig) -> list[Verdict]:
    """Applies the limits on what was measured on this host."""
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


def require_measured(config: GateConfig, names: Sequence[str]) -> None:
    """Checks that measurements are of candidates.

    Raises:
      ConfigError: One is of something else; the message names the nearest.
    """
    for name in config.device.measurements if config.device else ():
        if name not in names:
            raise ConfigError(
                f"device.measurements of {name!r}, which is no candidate",
                f"one of {', '.join(names)}",
                f"correct its name.{near_miss(name, names)}",
            )


def measured_on_device(candidate: Candidate, config: GateConfig) -> DeviceMeasurement | None:
    """Returns what was measured of a candidate on a device; None when there is no measurement.

    Raises:
      ConfigError: The measurement can't be read, or is that of another file.
    """
    path = config.device.measurements.get(candidate.name) if config.device else None
    if path is None:
        return None
    return read_measurement(path, len(candidate.content) if isinstance(candidate.content, bytes) else None)


def judge_device(device: DeviceMeasurement | None, config: GateConfig) -> list[Verdict]:
    """Applies the limit on what was measured on a device."""
    if config.device is None:
        return []
    latency_ms = device.latency_ms[config.device.figure] if device else None
    subject = f"device latency in ms ({config.device.figure})"
    return [judge_figure(subject, latency_ms, config.device.max_latency_ms)]


def judge_target_rules(targets: Mapping[str, TargetReport], config: GateConfig) -> list[Verdict]:
    """Applies the limits on what targets make of a file."""
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
        details = report.details
        limited: list[tuple[str, float | None, float | None]] = [
            ("arena in bytes", report.arena_bytes, rule.max_arena_bytes),
            ("NPU latency in µs", details.get("npu_latency_us"), rule.max_npu_latency_us),
            ("SRAM in bytes", details.get("sram_bytes"), rule.max_sram_bytes),
            ("flash in bytes", storage_bytes(report), rule.max_flash_bytes),
            ("encoded weights in bytes", details.get("encoded_weight_bytes"), rule.max_encoded_weight_bytes),
        ]
        verdicts += [judge_figure(subject, value, limit) for subject, value, limit in limited if limit is not None]
    return verdicts


def storage_bytes(report: TargetReport) -> int | None:
    """Returns what a compiled file takes of flash, or of DRAM in a system that keeps weights there; None if unknown."""
    found = report.details.get("flash_bytes") or report.details.get("dram_bytes")
    return int(found) if found else None
