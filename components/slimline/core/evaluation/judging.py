"""Applies limits to what was counted: each passes, fails, or can't be decided on so few examples."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from slimline.core.evaluation.accumulators import Accumulator, ModelAccumulator
from slimline.core.evaluation.gates import EVERY, GateConfig, Threshold
from slimline.core.evaluation.metrics import Metric
from slimline.core.evaluation.slices import OVERALL
from slimline.core.evaluation.statistics.evidence import Evidence, MetricCounts, Question
from slimline.core.evaluation.statistics.independence import find_clusters
from slimline.core.evaluation.statistics.planning import Plan, plan_examples
from slimline.core.evaluation.statistics.reweighting import NUM_DRAWS
from slimline.errors import ConfigError, near_miss

Ruling: TypeAlias = Literal["pass", "fail", "undecided", "not judged"]
Ask: TypeAlias = Callable[[MetricCounts, Question], Evidence]


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
      more_examples: How many examples would decide with 90% probability: fresh ones, or, with looks='anytime', so many
        more. None when the outcome is another, or no number would do soon.
      text: All of it as a sentence.
      p_value: Largest probability of what was seen if the limit is broken; None for what has no chance in it.
      tends_to: Which way those examples would decide, if the figures stay as they are; empty without any.
      obstacle: Why nothing can be said of how sure the figure is; empty where something can.
    """

    subject: str
    slice: str
    limit: float
    is_upper: bool
    value: float | None
    lower: float | None
    upper: float | None
    num_examples: int | None
    outcome: Ruling
    more_examples: int | None
    text: str
    p_value: float | None = None
    tends_to: str = ""
    obstacle: str = ""


@dataclass(frozen=True)
class Effort:
    """What a verdict may cost.

    Attributes:
      num_draws: Random weights that are drawn, where there is no closed form.
      with_plans: Whether to find out how many examples would decide what is undecided.
    """

    num_draws: int = NUM_DRAWS
    with_plans: bool = True


FULL = Effort()


def judge_thresholds(
    config: GateConfig,
    metrics: Mapping[str, Metric],
    accumulator: Accumulator,
    candidate: ModelAccumulator,
    effort: Effort = FULL,
) -> list[Verdict]:
    """Applies every threshold to a candidate, on every slice that it is for.

    All of them must hold, so that none is stricter for there being others (Berger, Technometrics 24, 1982).

    Args:
      config: With the thresholds.
      metrics: By name.
      accumulator: What was counted of all models.
      candidate: What was counted of this one.
      effort: Less than the full one only for simulations, which ask thousands of times.

    Raises:
      ConfigError: A threshold names a slice that no example is in.
    """
    verdicts = []
    for threshold in config.thresholds:
        for name in _slices_of(threshold, accumulator.num_examples):
            number = accumulator.num_examples[name]
            if name != OVERALL and number < config.min_slice_examples:
                verdicts.append(_not_judged(threshold, name, number, config))
                continue
            verdicts += _judge_threshold(
                threshold, metrics[threshold.metric], accumulator, candidate, name, config, effort
            )
    return verdicts


def _slices_of(threshold: Threshold, num_examples: Mapping[str, int]) -> Sequence[str]:
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
    accumulator: Accumulator,
    candidate: ModelAccumulator,
    slice_name: str,
    config: GateConfig,
    effort: Effort,
) -> list[Verdict]:
    name, statistic = threshold.metric, metric.statistic
    asked: list[tuple[str, float | None, bool, Ask]] = [
        (f"{name} drop", threshold.max_drop, True, statistic.drop),
        (f"{name} relative drop", threshold.max_relative_drop, True, statistic.relative_drop),
        (name, threshold.min_value, False, statistic.smallest),
        (name, threshold.max_value, True, statistic.largest),
    ]
    number = accumulator.num_examples[slice_name]
    design = find_clusters(accumulator.keys[slice_name]).design
    verdicts = []
    for subject, limit, is_upper, ask in asked:
        if limit is None:
            continue
        question = Question(limit, config.confidence or 0.95, design, config.looks == "anytime", effort.num_draws)
        error = accumulator.metric_errors.get(name)
        counts = candidate.metrics.get((slice_name, name))
        if error is not None or counts is None:
            evidence = Evidence(math.nan, -math.inf, math.inf, 1.0, f"the metric's own function raised {error}")
            counts = None
        else:
            evidence = ask(counts, question)
        planned = counts if effort.with_plans else None
        verdicts.append(judge_evidence(subject, slice_name, evidence, question, is_upper, number, config, planned, ask))
    return verdicts


def judge_evidence(
    subject: str,
    slice_name: str,
    evidence: Evidence,
    question: Question,
    is_upper: bool,
    num_examples: int,
    config: GateConfig,
    counts: MetricCounts | None = None,
    ask: Ask | None = None,
) -> Verdict:
    """Compares a figure with a limit.

    Args:
      subject: What it is.
      slice_name: Of the data.
      evidence: The figure with its bounds and its tail.
      question: The limit.
      is_upper: Whether the limit is the largest value allowed.
      num_examples: Examples that it rests on.
      config: With the confidence; None there compares the bare figure.
      counts: What the evidence rests on, to find out how many examples would decide; None to leave that out.
      ask: What made the evidence of the counts.
    """
    has_bounds = config.confidence is not None
    outcome = _rule(evidence, question, is_upper, has_bounds)
    plan = Plan(None, "")
    if outcome == "undecided" and counts is not None and ask is not None and not evidence.obstacle:
        plan = plan_examples(counts, ask, question, num_examples, is_upper=is_upper)
    return Verdict(
        subject,
        slice_name,
        question.limit,
        is_upper,
        evidence.value if math.isfinite(evidence.value) else None,
        evidence.lower if has_bounds and math.isfinite(evidence.lower) else None,
        evidence.upper if has_bounds and math.isfinite(evidence.upper) else None,
        num_examples,
        outcome,
        plan.num_examples,
        _sentence(subject, slice_name, evidence, question, is_upper, outcome, plan, has_bounds),
        evidence.tail if has_bounds else None,
        plan.tends_to,
        evidence.obstacle if has_bounds else "",
    )


def _rule(evidence: Evidence, question: Question, is_upper: bool, has_bounds: bool) -> Ruling:
    limit = question.limit
    if not has_bounds:
        return "pass" if math.isfinite(evidence.value) and keeps(evidence.value, limit, is_upper) else "fail"
    if evidence.obstacle:
        return "undecided"
    worst, best = (evidence.upper, evidence.lower) if is_upper else (evidence.lower, evidence.upper)
    # Bound and p-value come from the same draws, and differ by less than one of them.
    if keeps(worst, limit, is_upper) and evidence.tail <= 1 - question.level + 1e-12:
        return "pass"
    return "undecided" if keeps(best, limit, is_upper) else "fail"


def judge_figure(subject: str, value: float | None, limit: float) -> Verdict:
    """Compares a measured figure without examples behind it with the largest value allowed; unknown figures fail."""
    if value is None:
        text = f"{subject} is not known, limit {_number(limit)}"
        return Verdict(subject, "", limit, True, None, None, None, None, "fail", None, text)
    passed = keeps(value, limit, is_upper=True)
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
    outcome: Ruling = "not judged" if threshold.slice == EVERY else "undecided"
    more = config.min_slice_examples - num_examples if outcome == "undecided" else None
    if more is not None:
        text += f": undecided, {more} more of {slice_name} would let it be judged"
    return Verdict(threshold.metric, slice_name, limit, True, None, None, None, num_examples, outcome, more, text)


def keeps(value: float, limit: float, is_upper: bool) -> bool:
    """Returns whether a figure is on the right side of a limit, or on it."""
    # A limit of 0.01 must let exactly one of a hundred examples pass, which binary fractions miss by a hair.
    tolerance = 1e-12 * max(1.0, abs(value), abs(limit))
    if not math.isfinite(tolerance):
        return value <= limit if is_upper else value >= limit
    return value <= limit + tolerance if is_upper else value >= limit - tolerance


def _sentence(
    subject: str,
    slice_name: str,
    evidence: Evidence,
    question: Question,
    is_upper: bool,
    outcome: Ruling,
    plan: Plan,
    has_bounds: bool,
) -> str:
    place = f" on {slice_name}" if slice_name != OVERALL else ""
    if evidence.obstacle and has_bounds:
        shown = f" {_number(evidence.value)}" if math.isfinite(evidence.value) else ""
        return f"{subject}{place}{shown}: undecided, {evidence.obstacle}"
    bound = ""
    if has_bounds:
        side, value = ("at most", evidence.upper) if is_upper else ("at least", evidence.lower)
        bound = f" ({side} {_number(float(value))} with {100 * question.level:.4g}% confidence)"
    limited = "limit" if is_upper else "wanted at least"
    sentence = f"{subject}{place} {_number(evidence.value)}{bound}, {limited} {_number(question.limit)}"
    if outcome != "undecided":
        return sentence
    return f"{sentence}: undecided, {plan.text(question.anytime, slice_name if place else '')}"


def _number(value: float) -> str:
    return f"{value:,d}" if isinstance(value, int) else f"{value:.4g}"
