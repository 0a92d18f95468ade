import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.evaluation import intervals
from slimline.core.evaluation.accumulators import NUM_GROUPS, Tallies
from slimline.core.evaluation.gates import GateConfig, Threshold
from slimline.core.evaluation.intervals import Estimate
from slimline.core.evaluation.judging import judge_estimate, judge_figure, judge_thresholds
from slimline.core.evaluation.metrics import find_metric
from slimline.core.evaluation.slices import SliceBy
from slimline.errors import ConfigError, ExamplesError

DIGITS = (SliceBy(features=("digit",)),)


def gate(*thresholds, **options):
    return GateConfig(thresholds=thresholds, **options)


def at_most(limit, metric="accuracy", **options):
    return Threshold(metric=metric, max_drop=limit, **options)


def count(config, *parts):
    """Tallies of parts, each of (slice, both right, worse, better, both wrong)."""
    tallies = Tallies()
    metrics = {name: find_metric(name, config.custom_metrics) for name in config.metric_names}
    random = np.random.default_rng(0)
    for name, right, worse, better, wrong in parts:
        size = right + worse + better + wrong
        labels = np.arange(size) % 2
        before = labels ^ np.repeat([0, 0, 1, 1], [right, worse, better, wrong])
        after = labels ^ np.repeat([0, 1, 0, 1], [right, worse, better, wrong])
        predictions = {"": np.eye(2)[before] * 0.8 + 0.1, "a": np.eye(2)[after] * 0.8 + 0.1}
        slices = [["overall", name] if name else ["overall"]] * size
        tallies.add(labels, predictions, metrics, slices, random.integers(0, NUM_GROUPS, size))
    return metrics, tallies


def judge(config, *parts):
    metrics, tallies = count(config, *parts)
    return judge_thresholds(config, metrics, tallies.models[""], tallies.models["a"], tallies.num_examples)


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


def test_the_bounds_decide_whether_a_drop_passes_fails_or_is_undecided():
    for worse, expected in ((2, "pass"), (16, "undecided"), (60, "fail")):
        (verdict,) = judge(gate(at_most(0.02)), ("", 900 - worse, worse, 0, 100))
        drop = intervals.paired_share_drop(worse, 0, 1000, 0.95)
        assert (verdict.value, verdict.lower, verdict.upper) == (drop.value, drop.lower, drop.upper)
        assert (verdict.outcome, verdict.num_examples) == (expected, 1000)
        assert (verdict.more_examples is None) == (expected != "undecided")


def test_without_a_confidence_the_bare_figure_decides():
    for worse, expected in ((19, "pass"), (20, "pass"), (21, "fail")):
        (verdict,) = judge(gate(at_most(0.02), confidence=None), ("", 900 - worse, worse, 0, 100))
        assert (verdict.outcome, verdict.lower, verdict.upper) == (expected, None, None)
        assert "confidence" not in verdict.text


@given(st.integers(1, 3_000), st.data())
def test_losing_as_many_examples_as_allowed_passes_and_one_more_does_not(number, data):
    allowed = data.draw(st.integers(0, number - 1))
    limit = allowed / number
    assert judge_estimate("drop", "overall", point(allowed / number), limit, True, number, None).outcome == "pass"
    assert judge_estimate("drop", "overall", point((allowed + 1) / number), limit, True, number, None).outcome == "fail"


def point(value):
    return Estimate(value, value, value)


@pytest.mark.parametrize("value", [1e5, 3e7, 7e9])
def test_a_figure_of_exactly_the_limit_passes_however_large_it_is(value):
    for limit in (0.1, 0.2, 0.7):
        assert judge_estimate("mse", "overall", point(value + limit), value + limit, True, 9, 0.95).outcome == "pass"
        more = value + limit * 1.01 + 0.01
        assert judge_estimate("mse", "overall", point(more), value + limit, True, 9, 0.95).outcome == "fail"


@pytest.mark.parametrize("is_upper", [True, False])
@pytest.mark.parametrize("level", [None, 0.95])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_passes_only_where_it_is_beyond_doubt(value, level, is_upper):
    verdict = judge_estimate("accuracy", "overall", point(value), 0.5, is_upper, 9, level)
    assert (verdict.outcome == "pass") == (value == (-math.inf if is_upper else math.inf))


@pytest.mark.parametrize(
    ("estimate", "is_upper", "outcome"),
    [
        (Estimate(0.5, 0.4, 0.6), True, "undecided"),
        (Estimate(0.5, 0.4, 0.6), False, "undecided"),
        (Estimate(0.3, 0.2, 0.5), True, "pass"),
        (Estimate(0.3, 0.2, 0.45), False, "fail"),
        (Estimate(0.7, 0.5, 0.9), False, "pass"),
        (Estimate(0.7, 0.51, 0.9), True, "fail"),
        (Estimate(0.5, -math.inf, math.inf), True, "undecided"),
    ],
)
def test_the_worse_bound_must_keep_a_limit_to_pass_and_the_better_one_break_it_to_fail(estimate, is_upper, outcome):
    verdict = judge_estimate("accuracy", "overall", estimate, 0.5, is_upper, 100, 0.95)
    assert verdict.outcome == outcome
    assert verdict.lower == (estimate.lower if math.isfinite(estimate.lower) else None)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 500), st.integers(-100, 200))
def test_nothing_passes_with_confidence_that_fails_without_and_the_reverse(worse, better, same, limit):
    limit = limit / 1000
    number = worse + better + same + 1
    drop = intervals.paired_share_drop(worse, better, number, 0.95)
    sure = judge_estimate("drop", "overall", drop, limit, True, number, 0.95).outcome
    bare = judge_estimate("drop", "overall", drop, limit, True, number, None).outcome
    assert (sure, bare) not in {("pass", "fail"), ("fail", "pass")}


def test_smallest_values_of_shares_have_wilsons_bounds():
    (verdict,) = judge(gate(Threshold(metric="accuracy", min_value=0.85)), ("", 900, 0, 0, 100))
    expected = intervals.share(900, 1000, 0.95)
    assert (verdict.subject, verdict.is_upper, verdict.outcome) == ("accuracy", False, "pass")
    assert (verdict.value, verdict.lower, verdict.upper) == (expected.value, expected.lower, expected.upper)


def test_errors_have_largest_values():
    for limit, outcome in ((1.0, "pass"), (0.1, "fail")):
        config = gate(Threshold(metric="log_loss", max_value=limit))
        assert outcomes(judge(config, ("", 800, 10, 10, 180))) == [outcome]


def test_a_drop_of_an_error_is_what_it_grows_by():
    worse, better = (
        judge(gate(at_most(0.02, "log_loss")), part)[0] for part in (("", 80, 20, 0, 0), ("", 80, 0, 20, 0))
    )
    loss = math.log(0.9) - math.log(0.1)
    assert worse.value == pytest.approx(0.2 * loss)
    assert better.value == pytest.approx(-0.2 * loss)
    assert (worse.outcome, better.outcome) == ("fail", "pass")


def test_figures_that_are_no_means_have_bounds_from_groups():
    (verdict,) = judge(gate(at_most(0.1, "f1"), confidence=0.9), ("", 700, 20, 5, 275))
    assert verdict.lower < verdict.value < verdict.upper
    (wider,) = judge(gate(at_most(0.1, "f1"), confidence=0.99), ("", 700, 20, 5, 275))
    assert wider.upper > verdict.upper


def test_agreement_is_judged_by_its_own_value():
    config = gate(Threshold(metric="agreement", max_drop=0.1, min_value=0.9), metrics=("accuracy",))
    drop, value = judge(config, ("", 800, 10, 10, 180))
    assert (drop.value, value.value) == (pytest.approx(0.02), pytest.approx(0.98))
    assert (drop.upper, value.lower) == (pytest.approx(1 - value.lower), pytest.approx(1 - drop.upper))
    assert outcomes([drop, value]) == ["pass", "pass"]


def test_a_relative_drop_is_a_share_of_the_baselines_value():
    config = gate(Threshold(metric="accuracy", max_drop=0.1, max_relative_drop=0.1))
    drop, relative = judge(config, ("", 500, 20, 0, 480))
    assert relative.subject == "accuracy relative drop"
    for part in ("value", "lower", "upper"):
        assert getattr(relative, part) == pytest.approx(getattr(drop, part) / 0.52)


def test_a_relative_drop_from_nothing_is_refused():
    with pytest.raises(ExamplesError, match="a baseline whose metric is 0"):
        judge(gate(Threshold(metric="accuracy", max_relative_drop=0.1)), ("", 0, 0, 10, 90))


def test_every_limit_gives_one_verdict_in_the_order_of_the_configuration():
    thresholds = [
        Threshold(metric="log_loss", max_value=1, max_drop=1, max_relative_drop=1),
        Threshold(metric="accuracy", min_value=0.5, max_drop=0.1),
    ]
    subjects = [verdict.subject for verdict in judge(gate(*thresholds), ("", 90, 1, 1, 8))]
    assert subjects == ["log_loss drop", "log_loss relative drop", "log_loss", "accuracy drop", "accuracy"]


def test_a_star_is_every_slice_and_overall_and_a_name_is_one():
    parts = [("digit=1", 90, 0, 0, 10), ("digit=0", 50, 40, 0, 10)]
    verdicts = judge(gate(at_most(0.1, slice="*"), slices=DIGITS, confidence=None), *parts)
    assert [(verdict.slice, verdict.outcome) for verdict in verdicts] == [
        ("overall", "fail"),
        ("digit=0", "fail"),
        ("digit=1", "pass"),
    ]
    (verdict,) = judge(gate(at_most(0.1, slice="digit=1"), slices=DIGITS), *parts)
    assert (verdict.slice, verdict.outcome, verdict.num_examples) == ("digit=1", "pass", 100)
    assert verdict.text.startswith("accuracy drop on digit=1 0 (")


def test_an_unknown_slice_is_refused_with_a_near_miss():
    with pytest.raises(ConfigError, match=r"the slice 'digit=l', in which there is no example") as refused:
        judge(gate(at_most(0.1, slice="digit=l"), slices=DIGITS), ("digit=1", 90, 0, 0, 10))
    assert "Did you mean 'digit=1'" in str(refused.value)


def test_slices_of_few_examples_are_not_judged_and_overall_always_is():
    parts = [("digit=1", 29, 0, 0, 0), ("digit=0", 0, 30, 0, 0)]
    verdicts = judge(gate(at_most(0.1, slice="*"), slices=DIGITS), *parts)
    assert [(verdict.slice, verdict.outcome) for verdict in verdicts] == [
        ("overall", "fail"),
        ("digit=0", "fail"),
        ("digit=1", "not judged"),
    ]
    assert verdicts[2].text == "accuracy on digit=1: 29 example(s), fewer than min_slice_examples=30"
    assert (verdicts[2].value, verdicts[2].num_examples) == (None, 29)
    assert outcomes(judge(gate(at_most(0.5)), ("", 10, 0, 0, 0))) == ["pass"]


def test_the_risk_of_error_is_divided_among_the_slices_that_are_judged():
    parts = [(f"digit={digit}", 95, 1, 1, 3) for digit in range(4)] + [("digit=9", 5, 0, 0, 0)]
    one, *_ = judge(gate(at_most(0.1, slice="*"), slices=DIGITS), *parts)
    # Four slices and overall.
    expected = intervals.paired_share_drop(4, 4, 405, 1 - 0.05 / 5)
    assert (one.lower, one.upper) == pytest.approx((expected.lower, expected.upper))
    assert "with 99% confidence" in one.text
    alone, *_ = judge(gate(at_most(0.1, slice="*"), slices=DIGITS, correction="none"), *parts)
    assert alone.upper == intervals.paired_share_drop(4, 4, 405, 0.95).upper
    (single,) = judge(gate(at_most(0.1, slice="digit=1"), slices=DIGITS), *parts)
    assert single.upper == intervals.paired_share_drop(1, 1, 100, 0.95).upper


def test_a_metric_without_its_value_in_one_of_the_groups_is_undecided():
    config = gate(at_most(0.1, "auc"))
    metrics, tallies = {"auc": find_metric("auc")}, Tallies()
    # The only positive example is in a group of its own.
    predictions = {"": np.linspace(0, 1, 40)[:, np.newaxis], "a": np.linspace(0, 1, 40)[:, np.newaxis]}
    tallies.add((np.arange(40) == 39).astype(int), predictions, metrics, [["overall"]] * 40, np.arange(40) // 2 % 20)
    (verdict,) = judge_thresholds(config, metrics, tallies.models[""], tallies.models["a"], tallies.num_examples)
    assert (verdict.outcome, verdict.value, verdict.lower, verdict.upper) == ("undecided", 0, None, None)


@pytest.mark.parametrize(
    ("estimate", "limit", "is_upper", "level", "text"),
    [
        (point(0.25), 0.125, True, None, "accuracy drop 0.25, limit 0.125"),
        (point(0.25), 0.5, False, None, "accuracy drop 0.25, wanted at least 0.5"),
        (
            Estimate(0.01, 0.001, 0.015),
            0.02,
            True,
            0.95,
            "accuracy drop 0.01 (at most 0.015 with 95% confidence), limit 0.02",
        ),
        (
            Estimate(0.9, 0.8, 0.95),
            0.7,
            False,
            0.995,
            "accuracy drop 0.9 (at least 0.8 with 99.5% confidence), wanted at least 0.7",
        ),
        (
            Estimate(0.0, -0.02, 0.02),
            0.01,
            True,
            0.95,
            "accuracy drop 0 (at most 0.02 with 95% confidence), limit 0.01: undecided, about 3,000 more examples "
            "would decide",
        ),
        (
            Estimate(0.01, -0.02, 0.02),
            0.01,
            True,
            0.95,
            "accuracy drop 0.01 (at most 0.02 with 95% confidence), limit 0.01: undecided, more examples would not "
            "decide soon",
        ),
    ],
)
def test_a_verdict_reads_as_a_sentence(estimate, limit, is_upper, level, text):
    assert judge_estimate("accuracy drop", "overall", estimate, limit, is_upper, 1_000, level).text == text


@pytest.mark.parametrize(
    ("value", "limit", "outcome", "text"),
    [
        (12_345_678, 12_345_678, "pass", "size in bytes 12,345,678, limit 12,345,678"),
        (12_345_678, 12_345_677, "fail", "size in bytes 12,345,678 is 1 over the limit of 12,345,677"),
        (1.5, 1.25, "fail", "size in bytes 1.5 is 0.25 over the limit of 1.25"),
        (None, 7, "fail", "size in bytes is not known, limit 7"),
    ],
)
def test_a_figure_passes_up_to_its_limit_and_is_told_in_full(value, limit, outcome, text):
    verdict = judge_figure("size in bytes", value, limit)
    assert (verdict.outcome, verdict.text, verdict.value) == (outcome, text, value)
