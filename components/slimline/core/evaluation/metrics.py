"""The table of metrics: what is counted of each example, and what the counts say."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from slimline.core.config import Config
from slimline.core.evaluation import counting
from slimline.core.evaluation.counting import Counted, Seen
from slimline.core.evaluation.own_metric import OwnStatistic, own_counter
from slimline.core.evaluation.statistics.areas import AreaStatistic
from slimline.core.evaluation.statistics.confusion import ConfusionStatistic
from slimline.core.evaluation.statistics.evidence import Statistic
from slimline.core.evaluation.statistics.means import MeanStatistic, Range
from slimline.core.evaluation.statistics.shares import ShareStatistic
from slimline.core.evaluation.statistics.smooth import SmoothStatistic
from slimline.core.evaluation.tasks import Task, require_defined
from slimline.core.user_code import load_function
from slimline.errors import ConfigError, near_miss

_DECIBELS = 10 / np.log(10)


@dataclass(frozen=True)
class Metric:
    """A metric: a pair of functions, and what it is called by.

    Attributes:
      count: From a batch to what is counted of each example, of baseline and candidate together.
      statistic: From the counts to values, bounds and the chance that a limit is broken.
      has_baseline: Whether the baseline has a value of its own, from which a drop can be measured.
      is_own: Whether the user wrote it.
    """

    count: Callable[[Seen], Counted]
    statistic: Statistic
    has_baseline: bool = True
    is_own: bool = False

    @property
    def higher_is_better(self) -> bool:
        """False for errors."""
        return self.statistic.higher_is_better


class CustomMetric(Config):
    """A metric of the user's own: the mean of one number per example.

    Attributes:
      name: By which thresholds refer to it.
      function: Dotted path of a function of (labels, predictions), arrays of shape (batch, …), that returns an array of
        shape (batch,).
      higher_is_better: False for errors.
    """

    name: str = Field(min_length=1)
    function: str
    higher_is_better: bool = True


def _root(number: float) -> float:
    return 0.5 / np.sqrt(number) if number > 0 else np.inf


def _signal_to_noise(signal: float, noise: float) -> tuple[float, float]:
    # A model that differs nowhere has no noise: the figure ends where float32 does.
    ratio = max(signal, 1e-30) / max(noise, signal * 1e-15, 1e-30)
    return float("nan"), float(10 * np.log10(ratio))


_ERROR = MeanStatistic()
_ROOT = SmoothStatistic(
    figure=lambda b, c: (float(np.sqrt(b)), float(np.sqrt(c))),
    slopes=lambda _, c: (0.0, _root(c)),
    baseline_slopes=lambda b, _: (_root(b), 0.0),
)
_SQNR = SmoothStatistic(
    figure=_signal_to_noise,
    slopes=lambda b, c: (_DECIBELS / b if b else np.inf, -_DECIBELS / c if c else np.inf),
    baseline_slopes=None,
    higher_is_better=True,
)

METRICS: dict[str, Metric] = {
    "accuracy": Metric(counting.accuracy, ShareStatistic()),
    "precision": Metric(counting.confusion, ConfusionStatistic("precision")),
    "recall": Metric(counting.confusion, ConfusionStatistic("recall")),
    "f1": Metric(counting.confusion, ConfusionStatistic("f1")),
    "auc": Metric(counting.areas, AreaStatistic()),
    "log_loss": Metric(counting.log_loss, MeanStatistic(range=counting.LOG_LOSS_RANGE)),
    "mean_absolute_error": Metric(counting.absolute_error, _ERROR),
    "mean_squared_error": Metric(counting.squared_error, _ERROR),
    "root_mean_squared_error": Metric(counting.squared_error, _ROOT),
    # Of a model whose label is its input (`label_is_input`).
    "reconstruction_error": Metric(counting.squared_error, _ERROR),
    "agreement": Metric(counting.agreement, ShareStatistic()),
    "sqnr_db": Metric(counting.signal_and_noise, _SQNR, has_baseline=False),
}
# The same where an example holds several decisions: the mean of the share that is right.
_OF_MANY: dict[str, Metric] = {
    "accuracy": Metric(counting.accuracy_of_many, MeanStatistic(True, counting.SHARE_RANGE)),
    "agreement": Metric(counting.agreement_of_many, MeanStatistic(True, counting.SHARE_RANGE)),
}
_TOP_K = re.compile(r"top_([1-9]\d*)_accuracy")


def known_metric(name: str, custom: Sequence[CustomMetric] = ()) -> bool:
    """Returns whether there is a metric of a name."""
    return name in METRICS or _TOP_K.fullmatch(name) is not None or any(own.name == name for own in custom)


def metric_direction(name: str, custom: Mapping[str, CustomMetric]) -> bool:
    """Returns whether more of a metric is better, without loading any code of the user's."""
    if name in custom:
        return custom[name].higher_is_better
    return METRICS[name].higher_is_better if name in METRICS else True


def takes_range(name: str, custom: Sequence[CustomMetric] = ()) -> bool:
    """Returns whether a metric is a mean of numbers whose range has to be given to be known."""
    return any(own.name == name for own in custom) or (name in METRICS and METRICS[name].statistic is _ERROR)


def find_metric(
    name: str,
    custom: Sequence[CustomMetric] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
    task: Task | None = None,
) -> Metric:
    """Returns a metric by its name: one of `METRICS`, `top_3_accuracy` with any number, or one of the user's own.

    Args:
      name: Of the metric.
      custom: Metrics of the user's own.
      ranges: Smallest and largest number that an example can have, by metric.
      task: What the model is for; one class for each example when left out.

    Raises:
      ConfigError: There is none of that name, its function can't be imported, or it is not defined for the task.
    """
    given = (ranges or {}).get(name)
    limits = Range(*given) if given else None
    for own in custom:
        if own.name == name:
            function = load_function(own.function, f"function of the metric {own.name!r}")
            count = own_counter(function, own.function, limits, higher_is_better=own.higher_is_better)
            return Metric(count, OwnStatistic(own.higher_is_better, limits), is_own=True)
    if task is not None:
        require_defined(name, task)
        if task.has_many and name in _OF_MANY:
            return _OF_MANY[name]
    if match := _TOP_K.fullmatch(name):
        return Metric(counting.top_k(int(match[1])), ShareStatistic())
    if name not in METRICS:
        raise ConfigError(
            f"the metric {name!r}",
            f"one of {', '.join(METRICS)}, top_<k>_accuracy",
            f"correct the name.{near_miss(name, METRICS)}",
        )
    metric = METRICS[name]
    if limits is not None and takes_range(name):
        return Metric(counting.within(metric.count, limits, name), MeanStatistic(range=limits))
    return metric
