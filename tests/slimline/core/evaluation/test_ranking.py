from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.evaluation.gates import WeightedGoal
from slimline.core.evaluation.judging import Verdict
from slimline.core.evaluation.ranking import Contender, nearest_miss, pareto_members, rank_candidates

SMALL = st.integers(1, 3)
CONTENDERS = st.builds(
    lambda loss, size, packed, latency: Contender(loss / 10, size, packed, float(latency)), *[SMALL] * 4
)
ANY = st.dictionaries(st.sampled_from("abcdef"), CONTENDERS, min_size=1)


def goals(**weights):
    return [WeightedGoal(goal=goal, weight=weight) for goal, weight in weights.items()]


def verdict(outcome, value=0.0, limit=1.0, is_upper=True):
    return Verdict("accuracy", "", limit, is_upper, value, None, None, None, outcome, None, "")


@given(ANY, st.sampled_from(["smallest", "fastest", "most_accurate"]))
def test_the_best_by_the_goal_is_first_then_the_smaller_then_the_first_name(contenders, goal):
    key = {
        "smallest": lambda one: one.gzip_bytes,
        "fastest": lambda one: one.latency_ms,
        "most_accurate": lambda one: one.loss,
    }[goal]
    expected = sorted(contenders, key=lambda name: (key(contenders[name]), contenders[name].gzip_bytes, name))
    for names in (sorted(contenders), sorted(contenders, reverse=True)):
        assert rank_candidates({name: contenders[name] for name in names}, goal) == expected


def test_weights_say_which_of_several_goals_counts_more():
    contenders = {
        "small": Contender(0.1, 1, 100, 5.0),
        "middle": Contender(0.02, 1, 180, 5.0),
        "accurate": Contender(0.0, 1, 500, 5.0),
    }
    assert rank_candidates(contenders, goals(smallest=1, most_accurate=1))[0] == "middle"
    assert rank_candidates(contenders, goals(smallest=10, most_accurate=1))[0] == "small"
    assert rank_candidates(contenders, goals(smallest=1, most_accurate=10))[0] == "accurate"
    assert rank_candidates(contenders, goals(fastest=1))[0] == "small"


@given(ANY, st.floats(0.1, 10))
def test_the_unit_of_a_figure_and_the_scale_of_the_weights_do_not_matter(contenders, factor):
    scaled = {name: replace(one, latency_ms=one.latency_ms * 4) for name, one in contenders.items()}
    plain = rank_candidates(contenders, goals(smallest=1, fastest=2))
    assert rank_candidates(scaled, goals(smallest=1, fastest=2)) == plain
    assert rank_candidates(contenders, goals(smallest=4, fastest=8)) == plain


@given(ANY)
def test_the_choice_by_weights_is_one_that_no_other_beats(contenders):
    best = rank_candidates(contenders, goals(smallest=1, fastest=1, most_accurate=1))[0]
    assert best in pareto_members(contenders)


def test_nobody_is_ranked_of_nobody():
    assert rank_candidates({}, "smallest") == []
    assert pareto_members({}) == []
    assert nearest_miss({}) is None


@given(ANY)
def test_pareto_members_are_those_that_none_is_as_good_as_everywhere_and_better_somewhere(contenders):
    def figures(name):
        one = contenders[name]
        return one.loss, one.gzip_bytes, one.latency_ms

    def beats(name, other):
        pairs = list(zip(figures(name), figures(other), strict=True))
        return all(mine <= theirs for mine, theirs in pairs) and figures(name) != figures(other)

    assert pareto_members(contenders) == [
        name for name in contenders if not any(beats(other, name) for other in contenders)
    ]


def test_a_latency_that_is_not_known_is_not_compared():
    contenders = {"a": Contender(0.1, 1, 100, None), "b": Contender(0.1, 1, 100, 3.0), "c": Contender(0.2, 1, 100, 1.0)}
    assert pareto_members(contenders) == ["a", "b"]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"a": [verdict("fail", 9), verdict("fail", 9)], "b": [verdict("fail", 99)]}, "b"),
        ({"a": [verdict("fail", 3)], "b": [verdict("fail", 2)]}, "b"),
        ({"a": [verdict("fail", 3)], "b": [verdict("undecided", 0.5)]}, "b"),
        ({"a": [verdict("fail", 2, 1)], "b": [verdict("fail", 150, 100)]}, "b"),
        ({"a": [verdict("fail", 0.1, 0.9, False)], "b": [verdict("fail", 0.8, 0.9, False)]}, "b"),
        ({"b": [verdict("fail", 2)], "a": [verdict("fail", 2)]}, "a"),
        ({"a": [verdict("fail", None)], "b": [verdict("fail", 99)]}, "b"),
        ({"a": [], "b": [verdict("fail", 99)]}, "b"),
        ({"a": []}, None),
    ],
)
def test_the_nearest_miss_breaks_the_fewest_limits_by_the_least(verdicts, expected):
    assert nearest_miss(verdicts) == expected
