"""What once went wrong when models were compared."""

import threading

import numpy as np
import pytest
import tf_keras
from sklearn import metrics as reference

from slimline.core.evaluation.accumulators import Accumulator
from slimline.core.evaluation.counting import Seen
from slimline.core.evaluation.evaluator import Evaluator
from slimline.core.evaluation.gates import GateConfig, Threshold
from slimline.core.evaluation.measurement import measure as measure_file
from slimline.core.evaluation.metrics import METRICS, CustomMetric
from slimline.core.evaluation.ranking import Contender, rank_candidates
from slimline.core.evaluation.running_candidate import Candidate
from slimline.core.evaluation.slices import SliceBy, slice_names
from slimline.core.evaluation.statistics.evidence import MetricCounts, Question
from slimline.core.evaluation.statistics.planning import plan_examples
from slimline.core.evaluation.statistics.shares import ShareStatistic
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.errors import ConfigError, ExamplesError
from tests.conftest import example, write_records
from tests.records import tf_example


def measure(name, labels, predictions):
    seen = Seen(np.asarray(labels), np.asarray(predictions), np.asarray(predictions))
    counts, counted = MetricCounts.empty(), METRICS[name].count(seen)
    if counted.codes is not None:
        counts.joint.add(counted.codes)
    if counted.numbers is not None:
        counts.moments.add(*counted.numbers)
    return METRICS[name].statistic.values(counts)[1]


def test_a_zero_drop_of_sqnr_is_refused():
    with pytest.raises(ConfigError):
        Threshold(metric="sqnr_db", max_drop=0)


def test_recall_counts_classes_that_are_predicted_only_as_scikit_learn_does():
    labels, decided = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    expected = reference.recall_score(labels, decided, average="macro", zero_division=0)
    assert measure("recall", labels, np.eye(3)[decided]) == pytest.approx(expected)


def test_sums_of_numbers_do_not_depend_on_the_batches():
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 3, 40), {n: random.random((40, 3), np.float32) for n in ("", "a")}
    found = []
    for size in (40, 7):
        counted = Accumulator()
        for start in range(0, 40, size):
            part = slice(start, start + size)
            counted.add(
                labels[part],
                {n: v[part] for n, v in predictions.items()},
                {"log_loss": METRICS["log_loss"]},
                [["overall"]] * len(labels[part]),
                np.arange(40, dtype=np.uint64)[part],
            )
        model = counted.models["a"]
        key = ("overall", "log_loss")
        found.append(model.metrics[key])
    assert found[0] == found[1]


def test_metrics_that_compare_with_the_baseline_need_no_other_metric():
    counted = Accumulator()
    counted.add(
        np.zeros(2),
        {"": np.eye(2), "a": np.eye(2)},
        {"agreement": METRICS["agreement"]},
        [["overall"]] * 2,
        np.arange(2, dtype=np.uint64),
    )
    assert "" in counted.models


def test_memory_is_that_of_the_model_and_not_hidden_by_that_of_the_parent():
    x = tf_keras.layers.Input((1000,), name="x")
    content = quantize(
        tf_keras.Model(x, tf_keras.layers.Dense(4000, name="y")(x)), QuantizationConfig(scheme="float32")
    )
    measured = measure_file(content, "big", {"x": np.zeros((1, 1000), np.float32)}, gate())
    assert len(content) < measured.memory_bytes < 5 * len(content)


@pytest.fixture
def setting(trained, schema, digits, tmp_path):
    content = quantize(trained, QuantizationConfig(scheme="float32"))
    records = [example(image, int(label)) for image, label in zip(digits[0][:20], digits[1][:20], strict=True)]
    files = [str(write_records(tmp_path / "file", records))]
    return trained, [Candidate("a", "", content)], schema, ExamplesConfig(label_key="digit"), files


def gate(**options):
    return GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.5),), **options)


def test_too_little_memory_to_start_in_is_the_candidates_verdict(setting):
    model, candidates, schema, data, files = setting
    with Evaluator(model, candidates, gate(memory_limit_bytes=60_000_000), schema, data) as evaluator:
        assert evaluator.evaluate_files(files).models["a"].failure


def test_a_slice_that_is_named_and_too_small_to_be_judged_blesses_nothing():
    from slimline.core.evaluation.choosing import decide
    from slimline.core.evaluation.judging import judge_thresholds

    config = GateConfig(
        thresholds=(Threshold(metric="accuracy", max_drop=0, slice="digit=1"),), slices=(SliceBy(features=("digit",)),)
    )
    counted = Accumulator()
    counted.add(
        np.zeros(5),
        {"": np.eye(2)[[0] * 5], "a": np.eye(2)[[1] * 5]},
        {"accuracy": METRICS["accuracy"]},
        [["overall", "digit=1"]] * 5,
        np.arange(5, dtype=np.uint64),
    )
    verdicts = judge_thresholds(config, {"accuracy": METRICS["accuracy"]}, counted, counted.models["a"])
    assert decide(verdicts, config) != "pass"


def test_an_unknown_latency_comes_last():
    contenders = {"a": Contender(0, 1, 1, None), "b": Contender(0, 1, 5, 9.0), "c": Contender(0, 1, 9, 2.0)}
    assert rank_candidates(contenders, "fastest") == ["c", "b", "a"]


def test_buckets_of_large_numbers_have_names_of_their_own():
    import tensorflow as tf

    cut = SliceBy(features=("day",), buckets={"day": (20230101, 20230102, 20230103)})
    names = [slice_names(tf.train.Example.FromString(tf_example(day=day)), [cut])[1] for day in (20230101, 20230102)]
    assert names[0] != names[1]


def test_a_limit_that_all_but_equals_the_figure_is_no_overflow():
    counts = MetricCounts.empty()
    counts.joint.by_code = {3: 8, 2: 1, 1: 1}
    plan = plan_examples(counts, ShareStatistic().drop, Question(1e-300, 0.95), 10, is_upper=True)
    assert plan.num_examples is None


def test_two_metrics_of_one_name_are_refused():
    own = CustomMetric(name="cost", function="a.b")
    with pytest.raises(ConfigError):
        gate(custom_metrics=(own, CustomMetric(name="cost", function="a.c")))
    with pytest.raises(ConfigError):
        gate(custom_metrics=(CustomMetric(name="accuracy", function="a.b"),))


@pytest.mark.parametrize("labels", [[[1, 1, 0], [0, 1, 0]], [[0, 0, 0], [0, 1, 0]]])
def test_rows_that_name_no_class_or_several_are_refused(labels):
    with pytest.raises(ExamplesError):
        measure("accuracy", labels, np.eye(3)[:2])


@pytest.mark.parametrize("name", ["auc", "log_loss"])
def test_scores_that_are_no_probabilities_are_refused(name):
    with pytest.raises(ExamplesError):
        measure(name, [0, 1], [[-3.0], [5.0]])


def test_threads_of_one_worker_do_not_mix_their_batches(trained, schema, digits, tmp_path):
    from slimline.core.models.saving import save_keras_model, write_tflite
    from slimline.transforms.evaluation import EvaluationJob, close_evaluators, evaluate_file
    from tests.conftest import SCHEMA

    save_keras_model(trained, tmp_path / "baseline")
    write_tflite(quantize(trained, QuantizationConfig(scheme="float32")), tmp_path / "a")
    (tmp_path / "schema.pbtxt").write_text(SCHEMA)
    records = [example(i, int(n)) for i, n in zip(digits[0][:400], digits[1][:400], strict=True)]
    files = [str(write_records(tmp_path / f"f{part}", records[part::4])) for part in range(4)]
    job = EvaluationJob(
        str(tmp_path / "baseline"),
        (("a", "", str(tmp_path / "a")),),
        str(tmp_path / "schema.pbtxt"),
        gate(batch_size=4).to_json(),
        ExamplesConfig(label_key="digit").to_json(),
    )
    done, errors = [], []

    def run(file):
        try:
            done.append(evaluate_file(file, job))
        except Exception as error:  # noqa: BLE001 - the test tells it
            errors.append(repr(error)[:300])

    try:
        evaluate_file(files[0], job)
        threads = [threading.Thread(target=run, args=(file,), daemon=True) for file in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        merged = Accumulator()
        for one in done:
            merged.merge(one)
        assert merged.models["a"].failure == ""
        assert not merged.models["a"].changes
    finally:
        close_evaluators()


def test_true_and_false_are_labels():
    assert measure("accuracy", [True, False], [[0.9], [0.1]]) == 1
