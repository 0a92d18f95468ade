import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.gates import GateConfig, Measured, Threshold, choose, judge
from slimline.errors import ConfigError

SMALL = st.integers(1, 3)
MEASURED = st.builds(
    lambda right, error, size, packed, latency: Measured(
        {"accuracy": right / 3, "mean_squared_error": float(error)}, size, packed, float(latency)
    ),
    *[SMALL] * 5,
)


def gate(metric="accuracy", goal="smallest", budgets=None, **limits):
    return GateConfig(thresholds=(Threshold(metric=metric, **limits),), goal=goal, **(budgets or {}))


def passes(config, baseline, value, **measured):
    name = config.metrics[0]
    candidate = replace(Measured({name: value}, 1, 1, 1.0), **measured)
    return all(rule.passed for rule in judge({name: baseline}, candidate, config))


@given(st.integers(1, 10_000), st.data())
def test_losing_as_many_examples_as_allowed_passes_and_one_more_does_not(total, data):
    right = data.draw(st.integers(1, total))
    allowed = data.draw(st.integers(0, right - 1))
    config = gate(max_drop=allowed / total)
    assert passes(config, right / total, (right - allowed) / total)
    assert not passes(config, right / total, (right - allowed - 1) / total)


@pytest.mark.parametrize("value", [1e5, 3e7, 7e9])
def test_a_drop_of_exactly_the_limit_passes_however_large_the_metric(value):
    for limit in (0.1, 0.2, 0.7):
        config = gate("mean_squared_error", max_drop=limit)
        assert passes(config, value, value + limit)
        assert not passes(config, value, value + limit * 1.01 + 0.01)


@pytest.mark.parametrize(
    ("metric", "limits", "passing", "failing"),
    [
        ("accuracy", {"max_drop": 0.25}, [0.25, 0.5, 1.0], [0.2499, 0.0]),
        ("accuracy", {"max_drop": -0.25}, [0.75, 1.0], [0.7499, 0.5]),
        ("accuracy", {"min_value": 0.5}, [0.5, 0.6], [0.4999]),
        ("mean_absolute_error", {"max_drop": 0.25}, [0.75, 0.5, 0.0], [0.7501, 9.0]),
        ("mean_absolute_error", {"max_drop": -0.25}, [0.25, 0.0], [0.2501, 0.5]),
        ("mean_squared_error", {"max_value": 0.5}, [0.5, 0.4], [0.5001]),
    ],
)
def test_a_limit_holds_in_the_direction_of_its_metric(metric, limits, passing, failing):
    config = gate(metric, **limits)
    assert [passes(config, 0.5, value) for value in passing] == [True] * len(passing)
    assert [passes(config, 0.5, value) for value in failing] == [False] * len(failing)


@pytest.mark.parametrize(
    ("budget", "measured"),
    [("max_size_bytes", "size_bytes"), ("max_gzip_bytes", "gzip_bytes"), ("max_latency_ms", "latency_ms")],
)
def test_each_budget_limits_its_own_figure(budget, measured):
    config = gate(max_drop=0, budgets={budget: 100})
    others = {"size_bytes": 999, "gzip_bytes": 999, "latency_ms": 999.0}
    assert passes(config, 1, 1, **{**others, measured: 100})
    assert not passes(config, 1, 1, **{**others, measured: 101})


@pytest.mark.parametrize("limits", [{"max_drop": 1.0}, {"min_value": 0.0}])
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_what_is_no_number_never_passes(limits, value):
    assert not passes(gate(**limits), 0.5, value)


def test_every_limit_gives_one_rule_in_the_order_of_the_configuration():
    config = GateConfig(
        thresholds=(
            Threshold(metric="mean_squared_error", max_value=1, max_drop=1),
            Threshold(metric="accuracy", min_value=0.5, max_drop=0.1),
        ),
        max_size_bytes=10,
        max_gzip_bytes=10,
        max_latency_ms=10,
    )
    values = {"mean_squared_error": 0.5, "accuracy": 0.75}
    rules = judge(values, Measured(values, 11, 9, 9.0), config)
    assert [rule.text.split(",")[0].split(" is ")[0] for rule in rules] == [
        "mean_squared_error drop 0",
        "mean_squared_error 0.5",
        "accuracy drop 0",
        "accuracy 0.75",
        "size in bytes 11",
        "gzip size in bytes 9",
        "host latency in ms 9",
    ]
    assert [rule.passed for rule in rules] == [True, True, True, True, False, True, True]


def test_a_failed_rule_says_value_excess_and_limit_and_a_passed_one_value_and_limit():
    config = gate(max_drop=0.125, min_value=0.25)
    failed, passed = judge({"accuracy": 1.0}, Measured({"accuracy": 0.75}, 1, 1, 1.0), config)
    assert failed.text == "accuracy drop 0.25 is 0.125 over the limit of 0.125"
    assert passed.text == "accuracy 0.75, limit 0.25"
    (failed,) = judge({"accuracy": 1.0}, Measured({"accuracy": 0.75}, 1, 1, 1.0), gate(min_value=1))
    assert failed.text == "accuracy 0.75 is 0.25 under the limit of 1"


def test_sizes_are_told_in_full():
    config = gate(max_drop=0, budgets={"max_size_bytes": 12_345_678, "max_gzip_bytes": 12_345_677})
    candidate = Measured({"accuracy": 1.0}, 12_345_678, 12_345_678, 1.0)
    assert [rule.text for rule in judge({"accuracy": 1.0}, candidate, config)][1:] == [
        "size in bytes 12,345,678, limit 12,345,678",
        "gzip size in bytes 12,345,678 is 1 over the limit of 12,345,677",
    ]


@given(st.dictionaries(st.sampled_from("abcdef"), MEASURED), st.sampled_from(["smallest", "fastest", "most_accurate"]))
def test_the_choice_is_the_best_by_the_goal_then_the_smaller_then_the_first_name(passed, goal):
    order = {
        "smallest": lambda name: (passed[name].gzip_bytes, passed[name].size_bytes, name),
        "fastest": lambda name: (passed[name].latency_ms, passed[name].gzip_bytes, name),
        "most_accurate": lambda name: (-passed[name].metrics["accuracy"], passed[name].gzip_bytes, name),
    }[goal]
    config = gate(max_drop=0, goal=goal)
    for names in (sorted(passed), sorted(passed, reverse=True)):
        assert choose({name: passed[name] for name in names}, config) == min(passed, key=order, default=None)


def test_the_most_accurate_by_an_error_is_the_one_of_smallest_error():
    passed = {name: Measured({"mean_squared_error": error}, 1, 1, 1.0) for name, error in [("a", 0.3), ("b", 0.2)]}
    assert choose(passed, gate("mean_squared_error", goal="most_accurate", max_drop=1)) == "b"


def test_the_first_threshold_names_the_primary_metric_and_each_is_measured_once():
    names = ["mean_squared_error", "accuracy", "mean_squared_error"]
    config = GateConfig(thresholds=tuple(Threshold(metric=name, max_drop=0) for name in names))
    assert config.metrics == ("mean_squared_error", "accuracy")


def test_a_smallest_value_of_an_error_is_refused():
    with pytest.raises(ConfigError, match="no min_value for mean_squared_error, where less is better"):
        Threshold(metric="mean_squared_error", min_value=0.5)


@pytest.mark.parametrize("budget", ["max_size_bytes", "max_gzip_bytes", "max_latency_ms", "batch_size"])
def test_a_budget_of_nothing_is_refused(budget):
    with pytest.raises(ConfigError, match=budget):
        gate(max_drop=0, budgets={budget: 0})
