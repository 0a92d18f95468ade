import math
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics as reference

from slimline.core.evaluation.intervals import (
    Estimate,
    jackknife,
    mean,
    num_examples_to_decide,
    paired_share_drop,
    share,
)
from slimline.core.evaluation.metrics import METRICS, Outcome

NUM_SIMULATIONS = 2_000
COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 400)).filter(lambda counts: sum(counts) > 0)
CACHED = cache(paired_share_drop)


def brute_force_upper(worse, better, number, level):
    """Tango's interval by its definition: the largest difference whose score test, with half an example, is kept."""
    z = stats.norm.ppf(level)

    def share_better(difference):
        def surprise(q):
            parts = ((worse, q + difference), (better, q), (number - worse - better, 1 - 2 * q - difference))
            return -sum(count * math.log(max(p, 1e-300)) for count, p in parts if count)

        lowest, highest = max(0.0, -difference), (1 - difference) / 2
        found = optimize.minimize_scalar(surprise, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12})
        return min((lowest, highest, found.x), key=surprise)

    def excess(difference):
        variance = number * (2 * share_better(difference) + difference * (1 - difference))
        return worse - better + 0.5 - number * difference + z * math.sqrt(max(variance, 0))

    return optimize.brentq(excess, (worse - better) / number, 1 - 1e-9)


@pytest.mark.parametrize(
    ("worse", "better", "number"),
    [
        (12, 5, 400),
        (12, 2, 50),
        (0, 0, 100),
        (1, 0, 100),
        (0, 1, 100),
        (0, 7, 60),
        (9, 0, 60),
        (30, 30, 90),
        (3, 40, 99),
    ],
)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_bounds_of_a_drop_are_those_of_tangos_test(worse, better, number, level):
    drop = paired_share_drop(worse, better, number, level)
    assert drop.value == pytest.approx((worse - better) / number)
    assert drop.upper == pytest.approx(brute_force_upper(worse, better, number, level), abs=1e-6)
    assert drop.lower == pytest.approx(-brute_force_upper(better, worse, number, level), abs=1e-6)


@pytest.mark.parametrize("number", [100, 500, 3000])
@pytest.mark.parametrize("limit", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("share_better", [0.005, 0.03, 0.1])
def test_a_model_that_loses_exactly_the_limit_is_blessed_in_five_percent_of_all_cases(number, limit, share_better):
    random = np.random.default_rng(7)
    shares = [share_better + limit, share_better, 1 - 2 * share_better - limit]
    counts = random.multinomial(number, shares, NUM_SIMULATIONS)
    blessed = [CACHED(int(worse), int(better), number, 0.95).upper <= limit for worse, better, _ in counts]
    assert np.mean(blessed) <= 0.055 + 1 / NUM_SIMULATIONS**0.5 / 8


@pytest.mark.parametrize("limit", [0.01, 0.03])
def test_a_model_that_loses_nothing_is_blessed_when_the_examples_suffice(limit):
    random = np.random.default_rng(7)
    counts = random.multinomial(5_000, [0.005, 0.005, 0.99], 500)
    assert np.mean([CACHED(int(w), int(b), 5_000, 0.95).upper <= limit for w, b, _ in counts]) > 0.95


def test_a_drop_without_any_difference_is_bounded_by_the_number_of_examples():
    drops = [paired_share_drop(0, 0, number, 0.95) for number in (10, 100, 1_000, 10_000)]
    assert all(drop.value == 0 and drop.lower == -drop.upper for drop in drops)
    assert [drop.upper for drop in drops] == sorted((drop.upper for drop in drops), reverse=True)
    # Of n examples without a failure, about 3 / n can be failures: the rule of three.
    assert 2.7 / 1_000 < drops[2].upper < 4 / 1_000


@given(COUNTS, st.sampled_from([0.6, 0.9, 0.95, 0.999]))
def test_a_drop_lies_within_its_bounds_and_they_within_one(counts, level):
    worse, better, _same = counts
    drop = paired_share_drop(worse, better, sum(counts), level)
    assert -1 <= drop.lower <= drop.value <= drop.upper <= 1
    mirrored = paired_share_drop(better, worse, sum(counts), level)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-drop.upper, -drop.lower))


@given(COUNTS)
def test_more_losses_and_a_higher_level_raise_the_bound_and_more_gains_lower_it(counts):
    worse, better, same = counts
    assume(same > 0)
    number = sum(counts)
    upper = paired_share_drop(worse, better, number, 0.95).upper
    assert paired_share_drop(worse + 1, better, number, 0.95).upper > upper - 1e-9
    assert paired_share_drop(worse, better + 1, number, 0.95).upper <= upper + 0.5 / number
    assert paired_share_drop(worse, better, number, 0.99).upper >= upper - 1e-9
    assert paired_share_drop(worse * 4, better * 4, number * 4, 0.95).upper <= upper + 1e-9


@given(st.integers(1, 500), st.data())
def test_a_share_has_wilsons_interval(number, data):
    successes = data.draw(st.integers(0, number))
    found = share(successes, number, 0.95)
    expected = stats.binomtest(successes, number).proportion_ci(0.9, "wilson")
    assert (found.lower, found.upper) == (expected.low, expected.high)
    assert found.value == successes / number
    assert 0 <= found.lower <= found.value + 1e-12
    assert found.value - 1e-12 <= found.upper <= 1


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=50), st.sampled_from([0.8, 0.95, 0.99]))
def test_a_mean_has_students_interval(numbers, level):
    values = np.array(numbers)
    assume(values.std() > 1e-3)
    found = mean(values.sum(), np.square(values).sum(), len(values), level)
    lower, upper = stats.t.interval(2 * level - 1, len(values) - 1, values.mean(), stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.lower, found.upper) == pytest.approx((lower, upper), rel=1e-6, abs=1e-6)


def test_equal_numbers_have_no_spread_and_one_number_says_nothing():
    assert mean(30.0, 90.0, 10, 0.95) == Estimate(3, 3, 3)
    assert mean(3.0, 9.0, 1, 0.95) == Estimate(3, -math.inf, math.inf)


def test_the_jackknife_of_a_mean_of_groups_is_students_interval():
    values = np.random.default_rng(0).normal(size=20)
    without = (values.sum() - values) / 19
    found = jackknife(values.mean(), without, 0.95)
    lower, upper = stats.t.interval(0.9, 19, values.mean(), stats.sem(values))
    assert (found.lower, found.upper) == pytest.approx((lower, upper))


@pytest.mark.parametrize("without", [[], [0.5]])
def test_a_jackknife_of_fewer_than_two_groups_says_nothing(without):
    assert jackknife(0.5, np.array(without), 0.95) == Estimate(0.5, -math.inf, math.inf)


def simulate(random, size):
    """Labels, and scores of a baseline and of a candidate that is noisier."""
    labels = random.integers(0, 2, size)
    signal = labels + random.normal(size=size)
    scores = [1 / (1 + np.exp(-2 * (signal + noise * random.normal(size=size) - 0.5))) for noise in (0.1, 0.6)]
    return labels, *[values[:, np.newaxis] for values in scores]


def drops(metric, sums):
    totals = [each.sum(axis=0) for each in sums]
    yield metric.value(totals[0], 300) - metric.value(totals[1], 300)
    for group in range(20):
        before, after = (metric.value(total - each[group], 300) for total, each in zip(totals, sums, strict=True))
        yield before - after


@pytest.mark.parametrize("name", ["f1", "auc"])
def test_the_jackknife_covers_the_true_drop_in_most_cases(name):
    metric, random = METRICS[name], np.random.default_rng(3)
    labels, before, after = simulate(random, 1_000_000)
    if name == "f1":
        true = reference.f1_score(labels, before >= 0.5) - reference.f1_score(labels, after >= 0.5)
    else:
        true = reference.roc_auc_score(labels, before) - reference.roc_auc_score(labels, after)
    assert true > 0.01
    covered = []
    for _ in range(300):
        labels, before, after = simulate(random, 300)
        groups = np.eye(20)[random.integers(0, 20, 300)].T
        sums = [groups @ metric.rows(Outcome(labels, scores, before)) for scores in (before, after)]
        value, *without = drops(metric, sums)
        found = jackknife(value, np.array(without), 0.95)
        covered.append((found.lower <= true, true <= found.upper))
    assert (np.mean(covered, axis=0) > 0.91).all()


def test_the_number_that_decides_shrinks_the_interval_to_the_limit():
    # Four times as many examples halve an interval of 0.02.
    assert num_examples_to_decide(Estimate(0.0, -0.02, 0.02), 0.01, 1_000) == 3_000
    assert num_examples_to_decide(Estimate(0.0, -0.04, 0.02), -0.01, 1_000) == 15_000
    assert num_examples_to_decide(Estimate(0.0, -0.02, 0.02), 0.0199, 1_000) in range(1, 20)


def test_no_number_decides_a_figure_on_its_limit_or_without_bounds():
    assert num_examples_to_decide(Estimate(0.01, 0.0, 0.02), 0.01, 1_000) is None
    assert num_examples_to_decide(Estimate(0.0, -math.inf, math.inf), 0.01, 1_000) is None
    assert num_examples_to_decide(Estimate(0.01, 0.0, 0.02), 0.01 + 1e-9, 1_000) is None


@pytest.mark.parametrize(
    ("worse", "better", "number", "limit"), [(8, 4, 400, 0.02), (3, 3, 200, 0.02), (20, 4, 600, 0.02)]
)
def test_so_many_more_examples_of_the_same_kind_would_decide(worse, better, number, limit):
    drop = paired_share_drop(worse, better, number, 0.95)
    assert drop.lower < limit < drop.upper
    more = num_examples_to_decide(drop, limit, number)
    factor = math.ceil(1.3 * (number + more) / number)
    later = paired_share_drop(worse * factor, better * factor, number * factor, 0.95)
    assert later.upper <= limit or later.lower >= limit
