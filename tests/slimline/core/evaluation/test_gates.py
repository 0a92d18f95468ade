import pytest

from slimline.core.evaluation.gates import DeviceBudget, GateConfig, TargetRule, Threshold, WeightedGoal
from slimline.core.evaluation.metrics import CustomMetric
from slimline.core.evaluation.slices import SliceBy
from slimline.errors import ConfigError

DROP = Threshold(metric="accuracy", max_drop=0.01)
OWN = CustomMetric(name="cost", function="own.cost", higher_is_better=False)


def gate(*thresholds, **options):
    return GateConfig(thresholds=thresholds or (DROP,), **options)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda: Threshold(metric="accuracy"), "at least one of max_drop, max_relative_drop, min_value and max_value"),
        (lambda: Threshold(metric="sqnr_db", max_drop=1), "min_value for sqnr_db"),
        (lambda: Threshold(metric="sqnr_db", max_relative_drop=0.1), "min_value for sqnr_db"),
        (lambda: Threshold(metric="accuracy", max_drop=float("nan")), "finite"),
        (lambda: Threshold(metric="accuracy", max_drop=float("inf")), "finite"),
        (lambda: GateConfig(thresholds=()), "at least 1 item"),
        (lambda: gate(Threshold(metric="acuracy", max_drop=0)), "Did you mean 'accuracy'"),
        (lambda: gate(metrics=("auk",)), "Did you mean 'auc'"),
        (lambda: gate(Threshold(metric="cots", max_drop=0), custom_metrics=(OWN,)), "Did you mean 'cost'"),
        (lambda: gate(Threshold(metric="accuracy", max_value=0.5)), "no max_value for accuracy, where more is better"),
        (lambda: gate(Threshold(metric="top_3_accuracy", max_value=0.5)), "no max_value for top_3_accuracy"),
        (lambda: gate(Threshold(metric="log_loss", min_value=0.5)), "no min_value for log_loss, where less is better"),
        (lambda: gate(Threshold(metric="cost", min_value=1), custom_metrics=(OWN,)), "no min_value for cost"),
        (lambda: gate(DROP, DROP), "one threshold on accuracy for overall"),
        (
            lambda: gate(DROP, Threshold(metric="accuracy", min_value=0.9)),
            "not several that may contradict each other",
        ),
        (lambda: gate(Threshold(metric="accuracy", max_drop=0, slice="digit=3")), "slices=..."),
        (lambda: gate(Threshold(metric="accuracy", max_drop=0, slice="*")), "slices=..."),
        (lambda: gate(targets=(TargetRule(target="gpu"), TargetRule(target="gpu"))), "each target once, not 'gpu'"),
        (lambda: TargetRule(target="gpu", max_arena_bytes=1), "max_arena_bytes with target='micro'"),
        (lambda: TargetRule(target="micro", min_accelerated_share=1.1), "less than or equal to 1"),
        (lambda: DeviceBudget(measurements={}, max_latency_ms=1), "at least 1 item"),
        (lambda: WeightedGoal(goal="smallest", weight=0), "greater than 0"),
        (lambda: gate(goal=()), "at least one goal"),
        (lambda: gate(confidence=1.0), "less than 1"),
        (lambda: gate(confidence=0.5), "greater than 0.5"),
        (lambda: gate(split=""), "at least 1 character"),
        (lambda: gate(min_slice_examples=0), "greater than or equal to 1"),
        (lambda: gate(max_latency_ms=3), "unknown option 'max_latency_ms'"),
        (lambda: gate(max_latency_ms=3), "Did you mean 'max_latency_ratio'"),
    ],
)
def test_a_gate_that_means_nothing_is_refused(mistake, hint):
    with pytest.raises(ConfigError) as refused:
        mistake()
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    "budget",
    [
        "max_size_bytes",
        "max_gzip_bytes",
        "max_latency_ratio",
        "max_latency_p90_ratio",
        "max_memory_bytes",
        "batch_size",
        "time_limit_s",
        "memory_limit_bytes",
    ],
)
def test_a_budget_of_nothing_is_refused(budget):
    with pytest.raises(ConfigError, match=budget):
        gate(**{budget: 0})


@pytest.mark.parametrize("option", [{"undecided": "pass"}, {"correction": "holm"}, {"goal": "smalest"}])
def test_a_choice_that_there_is_not_is_refused(option):
    with pytest.raises(ConfigError):
        gate(**option)


def test_the_first_threshold_names_the_primary_metric_and_each_is_measured_once():
    names = ["mean_squared_error", "accuracy"]
    config = gate(*(Threshold(metric=name, max_drop=0) for name in names), metrics=("f1", "accuracy", "f1"))
    assert config.metric_names == ("mean_squared_error", "accuracy", "f1")


def test_one_metric_may_have_limits_on_several_slices():
    cuts = (SliceBy(features=("digit",)),)
    thresholds = [Threshold(metric="accuracy", max_drop=0, slice=name) for name in ("overall", "*", "digit=3")]
    assert len(gate(*thresholds, slices=cuts).thresholds) == 3


def test_a_gain_may_be_asked_for_and_an_error_limited():
    gate(Threshold(metric="accuracy", max_drop=-0.01, min_value=0.9))
    gate(Threshold(metric="log_loss", max_drop=0.1, max_value=2), Threshold(metric="sqnr_db", min_value=20))
    gate(Threshold(metric="cost", max_value=1), custom_metrics=(OWN,))


def test_a_gate_comes_back_from_its_json():
    config = gate(
        DROP,
        Threshold(metric="cost", max_relative_drop=0.1, slice="*"),
        custom_metrics=(OWN,),
        slices=(SliceBy(features=("age", "digit"), buckets={"age": (20, 40)}),),
        targets=(TargetRule(target="micro", max_arena_bytes=10),),
        device=DeviceBudget(measurements={"int8": "a.json"}, max_latency_ms=2, figure="p95"),
        goal=(WeightedGoal(goal="smallest", weight=1), WeightedGoal(goal="fastest", weight=2)),
        confidence=None,
        training_split=None,
    )
    assert GateConfig.from_json(config.to_json()) == config
