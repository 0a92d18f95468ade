"""Thresholds and budgets: what a candidate must keep to be shipped, and which of those that do is chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from pydantic import Field, model_validator

from slimline.core.config import Config
from slimline.core.metrics import METRICS, drop
from slimline.errors import near_miss

Goal = Literal["smallest", "fastest", "most_accurate"]


class Threshold(Config):
    """A limit on one metric. At least one of the limits is given.

    Attributes:
      metric: One of `slimline.core.metrics.METRICS`.
      max_drop: Largest loss against the baseline, in the metric's unit: 0.01 of accuracy is one point. A negative
        value asks for a gain.
      min_value: Smallest value of a metric where more is better.
      max_value: Largest value of an error.
    """

    metric: str
    max_drop: float | None = None
    min_value: float | None = None
    max_value: float | None = None

    @model_validator(mode="after")
    def _check(self) -> "Threshold":
        if self.metric not in METRICS:
            hint = near_miss(self.metric, METRICS)
            raise ValueError(f"a metric out of {', '.join(sorted(METRICS))}, not {self.metric!r}.{hint}")
        if self.max_drop is None and self.min_value is None and self.max_value is None:
            raise ValueError("at least one of max_drop, min_value and max_value")
        unfit = "max_value" if METRICS[self.metric].higher_is_better else "min_value"
        if getattr(self, unfit) is not None:
            direction = "more" if unfit == "max_value" else "less"
            raise ValueError(f"no {unfit} for {self.metric}, where {direction} is better")
        return self


class GateConfig(Config):
    """When a candidate is good enough, and which one is shipped.

    Attributes:
      split: Name of the Examples split to measure on.
      thresholds: Limits on metrics. There must be at least one: size alone proves nothing.
      max_size_bytes: Largest `.tflite` file.
      max_gzip_bytes: Largest `.tflite` file after gzip, which is about what a download weighs.
      max_latency_ms: Longest median inference on the host that runs the validator. Hosts differ from devices, int8 is
        often no faster than float on x86: without a good reason leave it out.
      goal: Among those that pass, which to choose: `smallest` by gzip bytes, `fastest` by host latency, or
        `most_accurate` by the first threshold's metric.
      batch_size: Examples read at a time.
      custom_objects: Dotted path of a module with layers and functions of the user's own, which the baseline has.
    """

    split: str = Field(default="eval", min_length=1)
    thresholds: tuple[Threshold, ...] = Field(min_length=1)
    max_size_bytes: int | None = Field(default=None, gt=0)
    max_gzip_bytes: int | None = Field(default=None, gt=0)
    max_latency_ms: float | None = Field(default=None, gt=0)
    goal: Goal = "smallest"
    batch_size: int = Field(default=64, ge=1)
    custom_objects: str | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics to measure, each once, the primary one first."""
        return tuple(dict.fromkeys(threshold.metric for threshold in self.thresholds))


@dataclass(frozen=True)
class Measured:
    """What the gate looks at.

    Attributes:
      metrics: Value by metric.
      size_bytes: Of the `.tflite` file.
      gzip_bytes: Of the `.tflite` file after gzip.
      latency_ms: Median on the host.
    """

    metrics: Mapping[str, float]
    size_bytes: int
    gzip_bytes: int
    latency_ms: float


@dataclass(frozen=True)
class Rule:
    """One limit, applied to one candidate.

    Attributes:
      text: The comparison in words and full figures.
      passed: Whether the limit holds.
    """

    text: str
    passed: bool


def judge(baseline: Mapping[str, float], candidate: Measured, config: GateConfig) -> tuple[Rule, ...]:
    """Applies every limit to a candidate.

    Args:
      baseline: The original model's value by metric.
      candidate: What was measured of the candidate.
      config: The limits.

    Returns:
      One result per limit, in the configuration's order. The candidate passes when all passed.
    """
    rules = []
    for threshold in config.thresholds:
        value = candidate.metrics[threshold.metric]
        lost = drop(threshold.metric, baseline[threshold.metric], value)
        if threshold.max_drop is not None:
            rules.append(_at_most(f"{threshold.metric} drop", lost, threshold.max_drop, scale=abs(value)))
        if threshold.min_value is not None:
            rules.append(_at_least(threshold.metric, value, threshold.min_value))
        if threshold.max_value is not None:
            rules.append(_at_most(threshold.metric, value, threshold.max_value))
    if config.max_size_bytes is not None:
        rules.append(_at_most("size in bytes", candidate.size_bytes, config.max_size_bytes))
    if config.max_gzip_bytes is not None:
        rules.append(_at_most("gzip size in bytes", candidate.gzip_bytes, config.max_gzip_bytes))
    if config.max_latency_ms is not None:
        rules.append(_at_most("host latency in ms", candidate.latency_ms, config.max_latency_ms))
    return tuple(rules)


def choose(passed: Mapping[str, Measured], config: GateConfig) -> str | None:
    """Returns the name of the best candidate that passed, or nothing when none did.

    Ties go to the smaller file, then to the name that sorts first, so that the choice does not depend on order.
    """
    if not passed:
        return None
    primary = config.metrics[0]

    def rank(name: str) -> tuple[float, int, str]:
        measured = passed[name]
        if config.goal == "fastest":
            return (measured.latency_ms, measured.gzip_bytes, name)
        if config.goal == "most_accurate":
            return (drop(primary, 0.0, measured.metrics[primary]), measured.gzip_bytes, name)
        return (measured.gzip_bytes, measured.size_bytes, name)

    return min(passed, key=rank)


def _at_most(what: str, value: float, limit: float, *, scale: float = 0.0) -> Rule:
    return _rule(what, value, limit, excess=value - limit, side="over", scale=scale)


def _at_least(what: str, value: float, limit: float) -> Rule:
    return _rule(what, value, limit, excess=limit - value, side="under", scale=0.0)


def _rule(what: str, value: float, limit: float, *, excess: float, side: str, scale: float) -> Rule:
    # A limit of 0.01 must let exactly one of a hundred examples pass, which binary fractions miss by a hair: one that
    # is relative to the metrics themselves, of which a drop is a small difference.
    tolerance = 1e-12 * max(1.0, abs(value), abs(limit), scale)
    if excess <= (tolerance if isfinite(tolerance) else 0.0):
        return Rule(f"{what} {_number(value)}, limit {_number(limit)}", passed=True)
    return Rule(f"{what} {_number(value)} is {_number(excess)} {side} the limit of {_number(limit)}", passed=False)


def _number(value: float) -> str:
    return f"{value:,d}" if isinstance(value, int) else f"{value:.6g}"
