"""Applies limits to what was measured: each passes, fails, or can't be decided on so few examples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from slimline.core.evaluation import intervals
from slimline.core.evaluation.accumulators import ModelTally, Pairs
from slimline.core.evaluation.gates import EVERY, GateConfig, Threshold
from slimline.core.evaluation.intervals import Estimate
from slimline.core.evaluation.metrics import Metric
from slimline.core.evaluation.slices import OVERALL
from slimline.errors import ConfigError, ExamplesError, near_miss

Outcome: TypeAlias = Literal["pass", "fail", "undecided", "not judged"]


@dataclass(frozen=True)
class Verdict:
    """One limit, applied to one candidate.

    Attributes:
      subject: What is limited, as `accuracy drop` or `size in bytes`.
      slice: Of the data; empty for what has no data.
      limit: The limit.
      is_upper: Whether it is the largest value allowed, and not the smallest.
      value: As measured; None when it could not be.
      lower: Lower confidence bound, where there is one.
      upper: Upper confidence bound, where there is one.
      num_examples: Examples that it rests on.
      outcome: `pass`, `fail`, `undecided`, or `not judged` for too small a slice.
      more_examples: How many more would decide, when they do not suffice; None when that can't be told.
      text: All of it as a sentence.
    """

    subject: str
    slice: str
    limit: float
    is_upper: bool
    value: float | None
    lower: float | None
    upper: float | None
    num_examples: int | None
    outcome: Outcome
    more_examples: int | None
    text: str


def value_of(metric: Metric, sums: np.ndarray, num_examples: np.ndarray) -> float:
    """Returns a metric's value over all groups."""
    return metric.value(np.asarray(sums.sum(axis=0)), int(num_examples.sum()))


def estimate_value(
    metric: Metric, name: str, tally: ModelTally, slice_name: str, num_examples: np.ndarray, level: float
) -> Estimate:
    """Estimates the value of a metric and its bounds."""
    key = (slice_name, name)
    sums, number = tally.sums[key], int(num_examples.sum())
    value = value_of(metric, sums, num_examples)
    if metric.kind == "binary":
        return intervals.share(int(sums.sum()), number, level)
    if metric.kind == "mean":
        return intervals.mean(float(sums.sum()), float(tally.squares[key]), number, level)
    return intervals.jackknife(value, _without(metric, sums, num_examples), level)


def estimate_drop(
    metric: Metric,
    name: str,
    baseline: ModelTally,
    candidate: ModelTally,
    slice_name: str,
    num_examples: np.ndarray,
    level: float,
) -> Estimate:
    """Estimates by how much the candidate is worse than the baseline on the same examples, and its bounds."""
    key, number = (slice_name, name), int(num_examples.sum())
    if metric.of_baseline is not None:
        own = estimate_value(metric, name, candidate, slice_name, num_examples, level)
        return Estimate(metric.of_baseline - own.value, metric.of_baseline - own.upper, metric.of_baseline - own.lower)
    pairs = candidate.pairs.get(key, Pairs())
    if metric.kind == "binary":
        return intervals.paired_share_drop(pairs.num_worse, pairs.num_better, number, level)
    if metric.kind == "mean":
        return intervals.mean(float(pairs.total), float(pairs.squares), number, level)
    sign = 1 if metric.higher_is_better else -1
    before, after = baseline.sums[key], candidate.sums[key]
    value = sign * (value_of(metric, before, num_examples) - value_of(metric, after, num_examples))
    without = sign * (_without(metric, before, num_examples) - _without(metric, after, num_examples))
    return intervals.jackknife(value, without, level)


def _without(metric: Metric, sums: np.ndarray, num_examples: np.ndarray) -> np.ndarray:
    """Returns the metric's value without each group that has examples, of shape (groups,)."""
    total, number = sums.sum(axis=0), int(num_examples.sum())
    filled = [group for group in range(len(num_examples)) if 0 < num_examples[group] < number]
    try:
        return np.array(
            [metric.value(np.asarray(total - sums[group]), number - int(num_examples[group])) for group in filled]
        )
    except ExamplesError:
        # Without one of the groups the metric has no value: nothing can be said of how sure it is.
        return np.array([])


def judge_thresholds(
    config: GateConfig,
    metrics: Mapping[str, Metric],
    baseline: ModelTally,
    candidate: ModelTally,
    num_examples: Mapping[str, np.ndarray],
) -> list[Verdict]:
    """Applies every threshold to a candidate, on every slice that it is for.

    Raises:
      ConfigError: A threshold names a slice that no example is in.
    """
    verdicts = []
    for threshold in config.thresholds:
        names = _slices_of(threshold, num_examples)
        judged = [name for name in names if int(num_examples[name].sum()) >= config.min_slice_examples]
        level = _level(config, len(judged))
        for name in names:
            if name != OVERALL and name not in judged:
                verdicts.append(_not_judged(threshold, name, int(num_examples[name].sum()), config))
                continue
            verdicts += _judge_threshold(
                threshold, metrics[threshold.metric], baseline, candidate, name, num_examples[name], level
            )
    return verdicts


def _level(config: GateConfig, num_slices: int) -> float | None:
    if config.confidence is None:
        return None
    if config.correction == "none":
        return config.confidence
    return 1 - (1 - config.confidence) / max(1, num_slices)


def _slices_of(threshold: Threshold, num_examples: Mapping[str, np.ndarray]) -> Sequence[str]:
    if threshold.slice == EVERY:
        return [OVERALL, *sorted(name for name in num_examples if name != OVERALL)]
    if threshold.slice not in num_examples:
        known = sorted(num_examples)
        raise ConfigError(
            f"a threshold on the slice {threshold.slice!r}, in which there is no example",
            f"one of {', '.join(known[:20])}",
            f"correct its name.{near_miss(threshold.slice, known)}",
        )
    return [threshold.slice]


def _judge_threshold(
    threshold: Threshold,
    metric: Metric,
    baseline: ModelTally,
    candidate: ModelTally,
    slice_name: str,
    num_examples: np.ndarray,
    level: float | None,
) -> list[Verdict]:
    name, number = threshold.metric, int(num_examples.sum())
    used = level or 0.95
    verdicts = []
    if threshold.max_drop is not None or threshold.max_relative_drop is not None:
        drop = estimate_drop(metric, name, baseline, candidate, slice_name, num_examples, used)
        reference = metric.of_baseline
        if reference is None:
            reference = value_of(metric, baseline.sums[slice_name, name], num_examples)
        if threshold.max_drop is not None:
            verdicts.append(judge_estimate(f"{name} drop", slice_name, drop, threshold.max_drop, True, number, level))
        if threshold.max_relative_drop is not None:
            relative = _relative(drop, reference)
            verdicts.append(
                judge_estimate(
                    f"{name} relative drop", slice_name, relative, threshold.max_relative_drop, True, number, level
                )
            )
    if threshold.min_value is not None or threshold.max_value is not None:
        value = estimate_value(metric, name, candidate, slice_name, num_examples, used)
        for limit, is_upper in ((threshold.min_value, False), (threshold.max_value, True)):
            if limit is not None:
                verdicts.append(judge_estimate(name, slice_name, value, limit, is_upper, number, level))
    return verdicts


def _relative(drop: Estimate, reference: float) -> Estimate:
    if reference == 0:
        raise ExamplesError(
            "a baseline whose metric is 0", "another value, for a relative drop", "give max_drop instead of it"
        )
    scale = abs(reference)
    return Estimate(drop.value / scale, drop.lower / scale, drop.upper / scale)


def judge_estimate(
    subject: str,
    slice_name: str,
    estimate: Estimate,
    limit: float,
    is_upper: bool,
    num_examples: int,
    level: float | None,
) -> Verdict:
    """Compares a figure with a limit.

    Args:
      subject: What it is.
      slice_name: Of the data.
      estimate: The figure with its bounds.
      limit: The limit.
      is_upper: Whether it is the largest value allowed.
      num_examples: Examples that it rests on.
      level: Of the bounds; None to compare the bare figure.
    """
    outcome: Outcome
    if level is None:
        outcome = "pass" if _keeps(estimate.value, limit, is_upper) else "fail"
    else:
        worst, best = (estimate.upper, estimate.lower) if is_upper else (estimate.lower, estimate.upper)
        outcome = "undecided" if _keeps(best, limit, is_upper) else "fail"
        outcome = "pass" if _keeps(worst, limit, is_upper) else outcome
    more = intervals.num_examples_to_decide(estimate, limit, num_examples) if outcome == "undecided" else None
    has_bounds = level is not None
    return Verdict(
        subject,
        slice_name,
        limit,
        is_upper,
        estimate.value,
        estimate.lower if has_bounds and math.isfinite(estimate.lower) else None,
        estimate.upper if has_bounds and math.isfinite(estimate.upper) else None,
        num_examples,
        outcome,
        more,
        _sentence(subject, slice_name, estimate, limit, is_upper, outcome, more, level),
    )


def judge_figure(subject: str, value: float | None, limit: float) -> Verdict:
    """Compares a measured figure without examples behind it with the largest value allowed; unknown figures fail."""
    if value is None:
        text = f"{subject} is not known, limit {_number(limit)}"
        return Verdict(subject, "", limit, True, None, None, None, None, "fail", None, text)
    passed = _keeps(value, limit, is_upper=True)
    excess = "" if passed else f" is {_number(value - limit)} over"
    text = f"{subject} {_number(value)}{', limit' if passed else excess + ' the limit of'} {_number(limit)}"
    return Verdict(subject, "", limit, True, value, None, None, None, "pass" if passed else "fail", None, text)


def _not_judged(threshold: Threshold, slice_name: str, num_examples: int, config: GateConfig) -> Verdict:
    given = (threshold.max_drop, threshold.max_relative_drop, threshold.min_value, threshold.max_value)
    limit = next(value for value in given if value is not None)
    text = (
        f"{threshold.metric} on {slice_name}: {num_examples} example(s), fewer than min_slice_examples="
        f"{config.min_slice_examples}"
    )
    # A slice that is asked for by its name must not pass unseen.
    outcome: Outcome = "not judged" if threshold.slice == EVERY else "undecided"
    more = config.min_slice_examples - num_examples if outcome == "undecided" else None
    return Verdict(threshold.metric, slice_name, limit, True, None, None, None, num_examples, outcome, more, text)


def _keeps(value: float, limit: float, is_upper: bool) -> bool:
    # A limit of 0.01 must let exactly one of a hundred examples pass, which binary fractions miss by a hair.
    tolerance = 1e-12 * max(1.0, abs(value), abs(limit))
    if not math.isfinite(tolerance):
        return value <= limit if is_upper else value >= limit
    return value <= limit + tolerance if is_upper else value >= limit - tolerance


def _sentence(
    subject: str,
    slice_name: str,
    estimate: Estimate,
    limit: float,
    is_upper: bool,
    outcome: Outcome,
    more: int | None,
    level: float | None,
) -> str:
    place = f" on {slice_name}" if slice_name != OVERALL else ""
    bound = ""
    if level is not None:
        side, value = ("at most", estimate.upper) if is_upper else ("at least", estimate.lower)
        bound = f" ({side} {_number(value)} with {100 * level:.4g}% confidence)"
    limited = "limit" if is_upper else "wanted at least"
    sentence = f"{subject}{place} {_number(estimate.value)}{bound}, {limited} {_number(limit)}"
    if outcome == "undecided":
        wanted = f"about {more:,} more examples would decide" if more else "more examples would not decide soon"
        return f"{sentence}: undecided, {wanted}"
    return sentence


def _number(value: float) -> str:
    return f"{value:,d}" if isinstance(value, int) else f"{value:.4g}"
