"""What independent parties say of the parts: SciPy, fractions, a plain loop, weights of single examples."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slimline.core.evaluation.statistics import share_bounds
from slimline.core.evaluation.statistics.anytime import anytime_bound, anytime_tail
from slimline.core.evaluation.statistics.confusion import ConfusionStatistic, confusion_codes
from slimline.core.evaluation.statistics.evidence import MetricCounts, Question
from slimline.core.evaluation.statistics.exact_sums import exact_sum
from slimline.core.evaluation.statistics.independence import describe_copies, find_clusters
from slimline.core.evaluation.statistics.means import MeanStatistic, Range
from slimline.core.evaluation.statistics.planning import plan_examples
from slimline.core.evaluation.statistics.selection import adjust
from slimline.core.evaluation.statistics.shares import ShareStatistic

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(FLOATS, max_size=50))
def test_sums_are_those_of_fractions(values):
    assert exact_sum(np.array(values)) == sum(map(Fraction, values), Fraction(0))


@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.9, 0.95, 0.99]))
def test_bounds_of_a_share_are_clopper_and_pearsons(right, wrong, level):
    if right + wrong == 0:
        return
    expected = stats.binomtest(right, right + wrong).proportion_ci(2 * level - 1, method="exact")
    assert share_bounds.value_bound(right, wrong + 1, level) == pytest.approx(expected.low, abs=1e-9)
    assert 1 - share_bounds.value_bound(wrong, right + 1, level) == pytest.approx(expected.high, abs=1e-9)


@pytest.mark.parametrize("counts", [(1, 0, 299), (6, 3, 391), (1, 8, 400), (40, 40, 20), (3, 2, 0), (0, 3, 100)])
def test_the_integral_is_what_drawn_weights_give(counts):
    kinds = [count for count in counts if count]
    weights = np.random.default_rng(0).dirichlet(kinds, 200_000)
    columns = iter(weights.T)
    worse, better, _ = (next(columns) if count else np.zeros(200_000) for count in counts)
    for limit in (-0.02, 0.0, 0.005, 0.02, 0.3):
        error = 4 * np.sqrt(0.25 / 200_000)
        assert share_bounds.drop_tail(counts[0], counts[1], counts[2], limit) == pytest.approx(
            (worse - better > limit).mean(), abs=error
        )
    if counts[0]:
        assert share_bounds.drop_bound(counts[0], counts[1], counts[2], 0.95) == pytest.approx(
            np.quantile(worse - better, 0.95), abs=2e-3
        )


def test_holms_procedure_is_step_down():
    """By its definition: reject in ascending order while p is at most the level over the number of those left."""
    random = np.random.default_rng(1)
    for _ in range(200):
        p_values = {str(number): float(p) for number, p in enumerate(random.random(random.integers(1, 17)) ** 3)}
        rejected = set()
        for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
            if p_values[name] > 0.05 / (len(p_values) - place):
                break
            rejected.add(name)
        assert {name for name, p in adjust(p_values).items() if p <= 0.05} == rejected


def test_the_capital_is_a_plain_product_of_bets():
    values = np.array([1.0, -1.0, 0.0])
    sequence = np.random.default_rng(2).choice(values, 300, p=[0.02, 0.01, 0.97])
    stakes = (np.arange(200) + 0.5) / 200 / (1 - 0.05)
    capital = np.ones(200)
    for example in sequence:
        capital *= 1 + stakes * (0.05 - example)
    counts = np.array([(sequence == value).sum() for value in values], float)
    assert anytime_tail(values, counts, 1.0, -1.0, 0.05) == pytest.approx(min(1, 1 / capital.mean()))
    bound = anytime_bound(values, counts, 1.0, -1.0, 0.95)
    assert anytime_tail(values, counts, 1.0, -1.0, bound) == pytest.approx(0.05, abs=1e-6)


def test_ten_looks_at_growing_examples_keep_the_level_only_with_bets():
    random, limit, kinds = np.random.default_rng(3), 0.02, np.array([1.0, -1.0, 0.0])
    errors = {"once": 0, "anytime": 0}
    for _ in range(400):
        differences = random.choice(kinds, 2000, p=[0.03, 0.01, 0.96])
        blessed = set()
        for look in range(200, 2001, 200):
            worse, better, same = ((differences[:look] == kind).sum() for kind in kinds)
            if share_bounds.drop_tail(worse + 1, better, same, limit) <= 0.05:
                blessed.add("once")
            if anytime_tail(kinds, np.array([worse, better, same]), 1.0, -1.0, limit) <= 0.05:
                blessed.add("anytime")
        for kind in blessed:
            errors[kind] += 1
    assert errors["anytime"] / 400 <= 0.05
    assert errors["once"] / 400 > 0.08


def test_clusters_count_as_one_and_copies_are_told():
    keys = np.repeat(np.arange(500, dtype=np.uint64), 10)
    clusters = find_clusters([keys[:1000], keys[1000:]])
    assert (clusters.num_examples, clusters.num_clusters, clusters.design, clusters.smallest) == (5000, 500, 10, 10)
    (warning,) = describe_copies(clusters)
    assert "4,500 of 5,000 examples are copies" in warning
    assert "is a file read twice?" in warning
    assert not describe_copies(find_clusters([np.arange(1000, dtype=np.uint64)]))
    # One patient with half of all records: little more than two observations.
    uneven = find_clusters([np.concatenate([np.zeros(500), np.arange(1, 501)]).astype(np.uint64)])
    assert 1000 / uneven.design < 5


def test_weights_of_ratios_are_those_of_a_plain_bootstrap_of_single_examples():
    """Single examples with exponential weights each, and the imagined one, without any counts."""
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, 300)
    before = np.where(random.random(300) < 0.9, labels, 1 - labels)
    after = np.where(random.random(300) < 0.97, before, 1 - before)
    counts = MetricCounts.empty()
    counts.joint.add(confusion_codes(labels, before, after, 2))
    found = ConfusionStatistic("recall").drop(counts, Question(0.1, 0.95))
    tails = []
    for label, old, new in ((1, 1, 0), (0, 0, 1)):
        y, b, c = (np.append(part, more) for part, more in ((labels, label), (before, old), (after, new)))
        weights = random.exponential(size=(20_000, 301))
        positives = weights @ (y == 1)
        drops = (weights @ ((y == 1) & (b == 1)) - weights @ ((y == 1) & (c == 1))) / positives
        tails.append((drops > 0.1).mean())
    assert found.tail == pytest.approx(max(tails), abs=0.015)


def test_a_range_makes_outliers_that_nobody_saw_count():
    limits = Range(0.0, 10.0)
    counts = MetricCounts.empty()
    numbers = np.full(300, 0.5), np.full(300, 0.5)
    counts.moments.add(*numbers)
    counts.joint.add(limits.codes(*numbers, higher_is_better=False))
    bounded = MeanStatistic(range=limits).drop(counts, Question(0.01, 0.95))
    # One in 300 could be worse by ten.
    assert bounded.upper == pytest.approx(10 * (1 - 0.05 ** (1 / 300)), rel=0.03)
    assert MeanStatistic().drop(counts, Question(0.01, 0.95)).obstacle


def test_students_t_is_scipys_and_one_dominant_example_is_no_evidence():
    random = np.random.default_rng(5)
    before, difference = random.random(400), random.normal(0.1, 1, 400)
    counts = MetricCounts.empty()
    counts.moments.add(before, before + difference)
    found = MeanStatistic().drop(counts, Question(0.2, 0.95))
    test = stats.ttest_1samp(difference, 0.2, alternative="less")
    assert found.tail == pytest.approx(test.pvalue, rel=1e-6)
    counts.moments.add(np.zeros(1), np.full(1, 1e6))
    assert "one example makes up more than a tenth" in MeanStatistic().drop(counts, Question(0.2, 0.95)).obstacle


@pytest.mark.parametrize(("worse", "limit", "way"), [(2, 0.02, "pass"), (12, 0.02, "fail")])
def test_as_many_examples_as_advised_decide_nine_times_in_ten(worse, limit, way):
    counts = MetricCounts.empty()
    counts.joint.by_code = {3: 380 - worse, 2: worse, 0: 20}
    statistic, question = ShareStatistic(), Question(limit, 0.95)
    plan = plan_examples(counts, statistic.drop, question, 400, is_upper=True)
    assert plan.tends_to == way
    assert plan.num_examples is not None
    random, decided = np.random.default_rng(6), 0
    for lost in random.binomial(plan.num_examples, worse / 400, size=300):
        fresh = MetricCounts.empty()
        fresh.joint.by_code = {3: int(plan.num_examples - lost), 2: int(lost)}
        evidence = statistic.drop(fresh, question)
        decided += evidence.upper <= limit if way == "pass" else evidence.lower > limit
    assert decided / 300 >= 0.85
