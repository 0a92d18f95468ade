import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.evaluation.accumulators import Accumulator
from slimline.core.evaluation.gates import GateConfig, Threshold
from slimline.core.evaluation.judging import judge_evidence, judge_figure, judge_thresholds
from slimline.core.evaluation.metrics import find_metric
from slimline.core.evaluation.slices import SliceBy
from slimline.core.evaluation.statistics import share_bounds
from slimline.core.evaluation.statistics.evidence import Evidence, Question
from slimline.errors import ConfigError

DIGITS = (SliceBy(features=("digit",)),)


def gate(*thresholds, **options):
    return GateConfig(thresholds=thresholds, **options)


def at_most(limit, metric="accuracy", **options):
    return Threshold(metric=metric, max_drop=limit, **options)


def count(config, *parts, copies=1):
    """Counts of parts, each of (slice, both right, worse, better, both wrong), every example `copies` times."""
    accumulator = Accumulator()
    metrics = {name: find_metric(name, config.custom_metrics, config.value_ranges) for name in config.metric_names}
    first = 0
    for name, right, worse, better, wrong in parts:
        size = right + worse + better + wrong
        labels = np.arange(size) % 2
        before = labels ^ np.repeat([0, 0, 1, 1], [right, worse, better, wrong])
        after = labels ^ np.repeat([0, 1, 0, 1], [right, worse, better, wrong])
        predictions = {"": np.eye(2)[before] * 0.8 + 0.1, "a": np.eye(2)[after] * 0.8 + 0.1}
        slices = [["overall", name] if name else ["overall"]] * size
        for _ in range(copies):
            accumulator.add(labels, predictions, metrics, slices, np.arange(first, first + size).astype(np.uint64))
        first += size
    return metrics, accumulator


def judge(config, *parts, copies=1):
    metrics, accumulator = count(config, *parts, copies=copies)
    return judge_thresholds(config, metrics, accumulator, accumulator.models["a"])


def rule(evidence, limit, is_upper, number=100, level=0.95):
    config = gate(at_most(0.1), confidence=level)
    return judge_evidence(
        "accuracy drop", "overall", evidence, Question(limit, level or 0.95), is_upper, number, config
    )


def sure(value, lower, upper, tail=0.0):
    return Evidence(value, lower, upper, tail)


def point(value):
    return Evidence(value, value, value, 0.0)


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


def test_the_bounds_decide_whether_a_drop_passes_fails_or_is_undecided():
    for worse, expected in ((2, "pass"), (16, "undecided"), (60, "fail")):
        (verdict,) = judge(gate(at_most(0.02)), ("", 900 - worse, worse, 0, 100))
        assert verdict.value == worse / 1000
        assert verdict.upper == share_bounds.drop_bound(worse + 1, 0, 1000 - worse, 0.95)
        assert verdict.p_value == share_bounds.drop_tail(worse + 1, 0, 1000 - worse, 0.02)
        assert (verdict.outcome, verdict.num_examples) == (expected, 1000)
        assert (verdict.more_examples is None) == (expected != "undecided")


def test_without_a_confidence_the_bare_figure_decides():
    for worse, expected in ((19, "pass"), (20, "pass"), (21, "fail")):
        (verdict,) = judge(gate(at_most(0.02), confidence=None), ("", 900 - worse, worse, 0, 100))
        assert (verdict.outcome, verdict.lower, verdict.upper, verdict.p_value) == (expected, None, None, None)
        assert "confidence" not in verdict.text


@given(st.integers(1, 3_000), st.data())
def test_losing_as_many_examples_as_allowed_passes_and_one_more_does_not(number, data):
    allowed = data.draw(st.integers(0, number - 1))
    limit = allowed / number
    assert rule(point(allowed / number), limit, True, number, None).outcome == "pass"
    assert rule(point((allowed + 1) / number), limit, True, number, None).outcome == "fail"


@pytest.mark.parametrize("value", [1e5, 3e7, 7e9])
def test_a_figure_of_exactly_the_limit_passes_however_large_it_is(value):
    for limit in (0.1, 0.2, 0.7):
        assert rule(point(value + limit), value + limit, True).outcome == "pass"
        assert rule(point(value + limit * 1.01 + 0.01), value + limit, True).outcome == "fail"


@pytest.mark.parametrize("is_upper", [True, False])
def test_what_is_no_number_passes_nothing(is_upper):
    for level in (None, 0.95):
        assert (
            rule(Evidence(math.nan, -math.inf, math.inf, 1.0, "who knows"), 0.5, is_upper, 9, level).outcome != "pass"
        )


@pytest.mark.parametrize(
    ("evidence", "is_upper", "outcome"),
    [
        (sure(0.5, 0.4, 0.6), True, "undecided"),
        (sure(0.5, 0.4, 0.6), False, "undecided"),
        (sure(0.3, 0.2, 0.5), True, "pass"),
        (sure(0.3, 0.2, 0.5, tail=0.051), True, "undecided"),
        (sure(0.3, 0.2, 0.45), False, "fail"),
        (sure(0.7, 0.5, 0.9), False, "pass"),
        (sure(0.7, 0.51, 0.9), True, "fail"),
        (sure(0.5, -math.inf, math.inf), True, "undecided"),
    ],
)
def test_the_worse_bound_must_keep_a_limit_to_pass_and_the_better_one_break_it_to_fail(evidence, is_upper, outcome):
    verdict = rule(evidence, 0.5, is_upper)
    assert verdict.outcome == outcome
    assert verdict.lower == (evidence.lower if math.isfinite(evidence.lower) else None)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 500), st.integers(-100, 200))
def test_nothing_passes_with_confidence_that_fails_without_and_the_reverse(worse, better, same, limit):
    part = ("", same + 1, worse, better, 0)
    threshold = at_most(limit / 1000)
    (certain,) = judge(gate(threshold), part)
    (bare,) = judge(gate(threshold, confidence=None), part)
    assert (certain.outcome, bare.outcome) not in {("pass", "fail"), ("fail", "pass")}


def test_smallest_values_of_shares_have_clopper_and_pearsons_bounds():
    from scipy import stats

    (verdict,) = judge(gate(Threshold(metric="accuracy", min_value=0.85)), ("", 900, 0, 0, 100))
    expected = stats.binomtest(900, 1000).proportion_ci(0.9, method="exact")
    assert (verdict.subject, verdict.is_upper, verdict.outcome) == ("accuracy", False, "pass")
    assert (verdict.lower, verdict.upper) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_errors_have_largest_values():
    for limit, outcome in ((1.0, "pass"), (0.1, "fail")):
        config = gate(Threshold(metric="log_loss", max_value=limit))
        assert outcomes(judge(config, ("", 800, 10, 10, 180))) == [outcome]


def test_a_drop_of_an_error_is_what_it_grows_by():
    worse, better = (
        judge(gate(at_most(0.02, "log_loss")), part)[0] for part in (("", 800, 200, 0, 0), ("", 800, 0, 200, 0))
    )
    loss = math.log(0.9) - math.log(0.1)
    assert worse.value == pytest.approx(0.2 * loss)
    assert better.value == pytest.approx(-0.2 * loss)
    assert (worse.outcome, better.outcome) == ("fail", "pass")


def test_ratios_have_bounds_that_widen_with_the_confidence():
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


def test_a_relative_drop_is_a_share_of_the_baselines_value_which_is_not_sure_either():
    config = gate(Threshold(metric="accuracy", max_drop=0.2, max_relative_drop=0.2))
    drop, relative = judge(config, ("", 50, 2, 0, 48))
    assert relative.subject == "accuracy relative drop"
    assert relative.value == pytest.approx(drop.value / 0.52)
    assert relative.upper != drop.upper / 0.52
    assert relative.upper == pytest.approx(drop.upper / 0.52, rel=0.1)


def test_a_relative_drop_from_nothing_is_undecided():
    (verdict,) = judge(gate(Threshold(metric="accuracy", max_relative_drop=0.1)), ("", 0, 0, 10, 90))
    assert verdict.outcome == "undecided"


def test_three_examples_without_a_difference_decide_nothing():
    for metric in ("accuracy", "f1", "recall", "auc", "log_loss", "agreement"):
        (verdict,) = judge(gate(at_most(0.01, metric)), ("", 3, 0, 0, 0))
        assert verdict.outcome == "undecided", metric


def test_copies_of_a_record_are_one_example():
    (once,) = judge(gate(at_most(0.02)), ("", 485, 8, 0, 7))
    (ten_times,) = judge(gate(at_most(0.02)), ("", 485, 8, 0, 7), copies=10)
    assert (ten_times.value, ten_times.upper, ten_times.p_value) == (once.value, once.upper, once.p_value)
    assert ten_times.num_examples == 5000


def test_every_limit_gives_one_verdict_in_the_order_of_the_configuration():
    thresholds = [
        Threshold(metric="log_loss", max_value=1, max_drop=1, max_relative_drop=0.9),
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


def test_a_limit_is_no_stricter_for_there_being_others():
    parts = [(f"digit={digit}", 95, 1, 1, 3) for digit in range(4)]
    one, *_ = judge(gate(at_most(0.1, slice="*"), slices=DIGITS), *parts)
    (alone,) = judge(gate(at_most(0.1)), *parts)
    assert (one.lower, one.upper, one.p_value) == (alone.lower, alone.upper, alone.p_value)


def test_looking_again_costs_width_and_is_refused_to_ratios():
    (once,) = judge(gate(at_most(0.05)), ("", 900, 5, 5, 90))
    (again,) = judge(gate(at_most(0.05), looks="anytime"), ("", 900, 5, 5, 90))
    assert once.upper < again.upper < 0.05
    (ratio,) = judge(gate(at_most(0.05, "f1"), looks="anytime"), ("", 900, 5, 5, 90))
    assert ratio.outcome == "undecided"
    assert "f1 is no mean of examples" in ratio.text


@pytest.mark.parametrize(
    ("evidence", "limit", "is_upper", "level", "text"),
    [
        (point(0.25), 0.125, True, None, "accuracy drop 0.25, limit 0.125"),
        (point(0.25), 0.5, False, None, "accuracy drop 0.25, wanted at least 0.5"),
        (
            sure(0.01, 0.001, 0.015),
            0.02,
            True,
            0.95,
            "accuracy drop 0.01 (at most 0.015 with 95% confidence), limit 0.02",
        ),
        (
            sure(0.9, 0.8, 0.95),
            0.7,
            False,
            0.995,
            "accuracy drop 0.9 (at least 0.8 with 99.5% confidence), wanted at least 0.7",
        ),
    ],
)
def test_a_verdict_reads_as_a_sentence(evidence, limit, is_upper, level, text):
    assert rule(evidence, limit, is_upper, 1_000, level).text == text


def test_an_undecided_limit_says_how_many_fresh_examples_would_decide_and_which_way():
    (verdict,) = judge(gate(at_most(0.02)), ("", 290, 4, 0, 6))
    assert (verdict.outcome, verdict.tends_to) == ("undecided", "pass")
    assert f"about {verdict.more_examples:,} fresh examples would decide with 90% probability, to pass" in verdict.text
    (verdict,) = judge(gate(at_most(0.02)), ("", 284, 8, 0, 8))
    assert verdict.tends_to == "fail"
    (verdict,) = judge(gate(at_most(0.02)), ("", 290, 6, 0, 4))
    assert (verdict.more_examples, verdict.tends_to) == (None, "")
    assert "no number of examples would decide soon" in verdict.text


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
