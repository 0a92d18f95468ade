"""Thresholds and budgets: what a candidate must keep to be shipped, and which of those that do is preferred."""

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from slimline.core.config import Config
from slimline.core.evaluation.metrics import METRICS, CustomMetric, known_metric, metric_direction, takes_range
from slimline.core.evaluation.slices import OVERALL, SliceBy
from slimline.core.evaluation.tasks import TaskName
from slimline.core.schemes import Target
from slimline.core.targets.options import EthosUConfig
from slimline.errors import near_miss

Goal: TypeAlias = Literal["smallest", "fastest", "most_accurate", "smallest_on_target", "fastest_on_target"]
EVERY = "*"
# Metrics of which no drop can be larger: shares, and means of shares.
_SHARES = ("accuracy", "precision", "recall", "f1", "auc", "agreement")
# Beyond this a limit on anything else is no limit.
_LARGEST_LIMIT = 1e12


def _limit(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"a number, not {value}")
    if isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) < _LARGEST_LIMIT):
        raise ValueError(f"a finite limit that something can break, not {value:g}")
    return value


Limit: TypeAlias = Annotated[float, BeforeValidator(_limit)]


class Threshold(Config):
    """A limit on one metric. At least one of the limits is given.

    Attributes:
      metric: One of `slimline.core.evaluation.metrics.METRICS`, `top_<k>_accuracy`, or the name of a metric of your
        own.
      max_drop: Largest loss against the baseline, in the metric's unit: 0.01 of accuracy is one point. A negative
        value asks for a gain.
      max_relative_drop: Largest loss as a share of the baseline's value.
      min_value: Smallest value of a metric where more is better.
      max_value: Largest value of an error.
      slice: `overall`, `*` for every slice of `GateConfig.slices` and overall, or one slice by its name, as `digit=3`.
    """

    metric: str
    max_drop: Limit | None = None
    max_relative_drop: Limit | None = None
    min_value: Limit | None = None
    max_value: Limit | None = None
    slice: str = OVERALL

    @model_validator(mode="after")
    def _check(self) -> "Threshold":
        given = (self.max_drop, self.max_relative_drop, self.min_value, self.max_value)
        if all(limit is None for limit in given):
            raise ValueError("at least one of max_drop, max_relative_drop, min_value and max_value")
        known = METRICS.get(self.metric)
        if known is not None and not known.has_baseline and given[:2] != (None, None):
            raise ValueError(f"min_value for {self.metric}: the baseline has no noise to compare with")
        is_share = self.metric in _SHARES or self.metric.startswith("top_")
        for name, value, end in (("max_drop", self.max_drop, is_share), ("max_relative_drop", given[1], True)):
            if value is not None and end and value >= 1:
                raise ValueError(f"{name} below 1, not {value:g}: a share can't drop by more, and one point is 0.01")
        if is_share and self.min_value is not None and self.min_value <= 0:
            raise ValueError(f"min_value above 0, not {self.min_value:g}: no share is smaller")
        return self


class DeviceBudget(Config):
    """A limit on the latency that was measured on a device, by LiteRT's own benchmark.

    Attributes:
      measurements: By candidate, the path of the benchmark's JSON.
      max_latency_ms: Longest inference.
      figure: Which figure of the measurement counts.
    """

    measurements: dict[str, str] = Field(min_length=1)
    max_latency_ms: float = Field(gt=0)
    figure: Literal["avg", "median", "p95"] = "median"


class TargetRule(Config):
    """What a device has to make of a candidate.

    Attributes:
      target: The device.
      min_accelerated_share: Share of the multiply-accumulate operations that must run accelerated, in [0, 1].
      max_arena_bytes: For `micro`: the largest arena that TFLite Micro may need.
      ethos_u: For `ethos_u`: which NPU, in which system; an Ethos-U55 of 128 units when left out.
      max_npu_latency_us: For `ethos_u`: the longest inference on the NPU, in microseconds, as Arm's compiler estimates
        it, without what the CPU beside it computes.
      max_sram_bytes: For `ethos_u`: the most SRAM.
      max_flash_bytes: For `ethos_u`: the most flash, or DRAM where the system keeps weights there.
      max_encoded_weight_bytes: For `ethos_u`: the most bytes of weights, as encoded for the NPU.
    """

    target: Target
    min_accelerated_share: float = Field(default=0.0, ge=0, le=1)
    max_arena_bytes: int | None = Field(default=None, gt=0)
    ethos_u: EthosUConfig | None = None
    max_npu_latency_us: float | None = Field(default=None, gt=0)
    max_sram_bytes: int | None = Field(default=None, gt=0)
    max_flash_bytes: int | None = Field(default=None, gt=0)
    max_encoded_weight_bytes: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "TargetRule":
        if self.max_arena_bytes is not None and self.target != "micro":
            raise ValueError("max_arena_bytes with target='micro', where alone there is an arena")
        own = ("ethos_u", "max_npu_latency_us", "max_sram_bytes", "max_flash_bytes", "max_encoded_weight_bytes")
        given = [name for name in own if getattr(self, name) is not None]
        if given and self.target != "ethos_u":
            raise ValueError(f"{given[0]} with target='ethos_u', whose compiler alone tells it")
        return self


class WeightedGoal(Config):
    """One of several goals.

    Attributes:
      goal: What is wished for.
      weight: Against the others.
    """

    goal: Goal
    weight: float = Field(gt=0)


class GateConfig(Config):
    """When a candidate is good enough, and which one is shipped.

    Attributes:
      split: Name of the Examples split to measure on.
      training_split: The split that the model was trained on: records in both are told. None when there is none.
      thresholds: Limits on metrics. There must be at least one: size alone proves nothing.
      metrics: Further metrics to report without a limit.
      custom_metrics: Metrics of your own.
      output: Which output is judged, for models of several.
      task: What the output decides, as `binary_logits` or `multilabel`; None to find it from the model: its loss, its
        last activation, the shape of its output. What was found is told.
      confidence: In (0.5, 1): a candidate that breaks a limit is blessed with a probability of 1 - confidence at most,
        however many candidates, slices and limits there are; None for the bare figures.
      looks: `once`: that holds for one evaluation. `anytime`: it holds however often the gate is asked again while
        examples are added, for shares and for means of a known range, at the price of wider bounds.
      independent_by: Feature of which equal values mean one independent observation, as `patient_id`. Without one,
        copies of the same record count once.
      value_ranges: For metrics that are means of numbers, the smallest and largest number that one example can have.
        With them bounds hold whatever the numbers are; without, Student's t is used where it can be trusted.
      slices: How the data is cut.
      min_slice_examples: Slices of fewer examples are reported, and not judged.
      undecided: What happens when the examples do not suffice to tell: `refuse` or `bless`.
      max_size_bytes: Largest `.tflite` file, which is also what it takes of a microcontroller's flash.
      max_gzip_bytes: Largest `.tflite` file after gzip, which is about what a download weighs.
      max_latency_ratio: Longest median inference on this host as a multiple of the baseline's `.tflite`. Hosts differ
        from devices, int8 is often no faster than float on x86: without a good reason leave it out.
      max_latency_p90_ratio: The same for the 90th percentile.
      max_memory_bytes: Most memory that the model, its tensors and kernels may take on this host.
      device: A limit on measurements from a device.
      targets: Devices that must be able to run the model.
      goal: Among those that pass, which to choose: `smallest` by gzip bytes, `fastest` by host latency, `most_accurate`
        by the first threshold's metric, `smallest_on_target` by the flash and `fastest_on_target` by the time that
        Arm's compiler tells, or several of them with weights.
      batch_size: Examples read at a time.
      time_limit_s: Seconds that a candidate may take for a batch.
      memory_limit_bytes: Address space that a candidate's process may take.
      custom_objects: Dotted path of a module with layers and functions of the user's own, which the baseline has.
    """

    split: str = Field(default="eval", min_length=1)
    training_split: str | None = "train"
    thresholds: tuple[Threshold, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = ()
    custom_metrics: tuple[CustomMetric, ...] = ()
    output: str | None = None
    task: TaskName | None = None
    confidence: float | None = Field(default=0.95, gt=0.5, lt=1)
    looks: Literal["once", "anytime"] = "once"
    independent_by: str | None = None
    value_ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    slices: tuple[SliceBy, ...] = ()
    min_slice_examples: int = Field(default=30, ge=1)
    undecided: Literal["refuse", "bless"] = "refuse"
    max_size_bytes: int | None = Field(default=None, gt=0)
    max_gzip_bytes: int | None = Field(default=None, gt=0)
    max_latency_ratio: float | None = Field(default=None, gt=0)
    max_latency_p90_ratio: float | None = Field(default=None, gt=0)
    max_memory_bytes: int | None = Field(default=None, gt=0)
    device: DeviceBudget | None = None
    targets: tuple[TargetRule, ...] = ()
    goal: Goal | tuple[WeightedGoal, ...] = "smallest"
    batch_size: int = Field(default=64, ge=1)
    time_limit_s: float = Field(default=300, gt=0)
    memory_limit_bytes: int | None = Field(default=None, gt=0)
    custom_objects: str | None = None

    @model_validator(mode="after")
    def _check(self) -> "GateConfig":
        for name in self.metric_names:
            if not known_metric(name, self.custom_metrics):
                known = [*METRICS, *(own.name for own in self.custom_metrics)]
                raise ValueError(f"a metric out of {', '.join(known)}, not {name!r}.{near_miss(name, known)}")
        names = [*METRICS, *(own.name for own in self.custom_metrics)]
        taken = sorted({name for name in names if names.count(name) > 1})
        if taken:
            raise ValueError(f"a name of its own for each metric, not {taken[0]!r} twice")
        self._check_directions()
        self._check_slices()
        self._check_ranges()
        self._check_goals()
        if self.goal == ():
            raise ValueError("at least one goal")
        repeated = {rule.target for rule in self.targets if sum(rule.target == one.target for one in self.targets) > 1}
        if repeated:
            raise ValueError(f"each target once, not {sorted(repeated)[0]!r} twice")
        return self

    def _check_directions(self) -> None:
        custom = {own.name: own for own in self.custom_metrics}
        for threshold in self.thresholds:
            higher = metric_direction(threshold.metric, custom)
            unfit = "max_value" if higher else "min_value"
            if getattr(threshold, unfit) is not None:
                direction = "more" if higher else "less"
                raise ValueError(f"no {unfit} for {threshold.metric}, where {direction} is better")
        kinds = [(threshold.metric, threshold.slice) for threshold in self.thresholds]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise ValueError(
                    f"one threshold on {kind[0]} for {kind[1]}, not several that may contradict each other"
                )

    def _check_slices(self) -> None:
        for threshold in self.thresholds:
            if threshold.slice != OVERALL and not self.slices:
                raise ValueError(f"slices=... for the threshold on the slice {threshold.slice!r}")

    def _check_ranges(self) -> None:
        for name, (lowest, highest) in self.value_ranges.items():
            if name not in self.metric_names or not takes_range(name, self.custom_metrics):
                raise ValueError(
                    f"value_ranges of metrics that are means of numbers without a known range, not {name!r}"
                )
            if not (math.isfinite(lowest) and math.isfinite(highest) and lowest < highest):
                raise ValueError(f"value_ranges of {name!r} as (smallest, largest), not ({lowest:g}, {highest:g})")

    def _check_goals(self) -> None:
        goals = [self.goal] if isinstance(self.goal, str) else [one.goal for one in self.goal]
        on_target = [goal for goal in goals if goal.endswith("_on_target")]
        if on_target and all(rule.target != "ethos_u" for rule in self.targets):
            raise ValueError(f"the target 'ethos_u' for goal={on_target[0]!r}: nothing else tells bytes and time")

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics to measure, each once, the primary one first."""
        return tuple(dict.fromkeys([*(threshold.metric for threshold in self.thresholds), *self.metrics]))
