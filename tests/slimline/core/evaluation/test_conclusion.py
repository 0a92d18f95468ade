import gzip
import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.evaluation import conclusion as evaluations
from slimline.core.evaluation import description
from slimline.core.evaluation.accumulators import Accumulator, ModelAccumulator
from slimline.core.evaluation.conclusion import conclude
from slimline.core.evaluation.evaluator import Evaluator
from slimline.core.evaluation.gates import GateConfig, TargetRule, Threshold, WeightedGoal
from slimline.core.evaluation.measurement import Measurement, measure
from slimline.core.evaluation.running_candidate import Candidate
from slimline.core.evaluation.slices import SliceBy
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.tflite.runtime import Latency
from slimline.errors import ConfigError, ExamplesError, ModelError
from tests.conftest import example, write_records

LAYERS = tf_keras.layers
DATA = ExamplesConfig(label_key="digit")
DIGITS = (SliceBy(features=("digit",)),)
DROP = Threshold(metric="accuracy", max_drop=0.06)
LENIENT = GateConfig(thresholds=(DROP,), metrics=("f1", "agreement", "sqnr_db"), slices=DIGITS)


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory):
    records = [example(image, int(label)) for image, label in zip(digits[0][:300], digits[1][:300], strict=True)]
    return [str(write_records(tmp_path_factory.mktemp("files") / "file", records))]


@pytest.fixture(scope="module")
def candidates(converted):
    return [Candidate(scheme, scheme, converted[scheme]) for scheme in ("float32", "float16", "int8")]


@pytest.fixture(scope="module")
def accumulator(trained, candidates, files, schema):
    with Evaluator(trained, candidates, LENIENT, schema, DATA) as evaluator:
        return evaluator.evaluate_files(files)


@pytest.fixture(scope="module")
def inputs(digits):
    return {"image": digits[0][:1]}


@pytest.fixture(scope="module")
def lenient(trained, candidates, accumulator, inputs):
    """The evaluation of all candidates where all pass."""
    return conclude(trained, candidates, accumulator, inputs, LENIENT)


@pytest.fixture
def decide(trained, candidates, accumulator, inputs, monkeypatch):
    """Judges the candidates by another configuration, with latencies and memory that are made up."""
    figures = {"float32": (4.0, 400), "float16": (3.0, 300), "int8": (2.0, 200)}

    def made_up(content, name, example, config):
        latency, memory = figures.get(name, (4.0, 400))
        return Measurement(len(content), len(gzip.compress(content, 9)), Latency(latency, latency * 2, 50), memory)

    monkeypatch.setattr(evaluations, "measure", made_up)
    monkeypatch.setattr(description, "measure", made_up)
    monkeypatch.setattr(description, "quantize", lambda model, config: candidates[0].content)

    def run(*thresholds, **options):
        config = GateConfig(thresholds=thresholds or (DROP,), **options)
        return conclude(trained, candidates, accumulator, inputs, config)

    return run


def verdicts(evaluation):
    return [report.verdict for report in evaluation.candidates]


def test_a_report_identifies_and_weighs_the_file(candidates, lenient):
    for candidate, report in zip(candidates, lenient.candidates, strict=True):
        assert (report.name, report.scheme) == (candidate.name, candidate.scheme)
        assert report.content_digest == f"sha256:{hashlib.sha256(candidate.content).hexdigest()}"
        assert report.size_bytes == len(candidate.content)
        assert report.gzip_bytes == len(gzip.compress(candidate.content, 9))
        assert 0 < report.latency_ms <= report.latency_p90_ms
    assert lenient.baseline["size_bytes"] == pytest.approx(lenient.report_of("float32").size_bytes, rel=0.05)
    assert 0 < lenient.baseline["latency_ms"] <= lenient.baseline["latency_p90_ms"]


def test_the_smallest_that_passes_is_chosen_and_each_has_its_reasons(lenient):
    assert (lenient.chosen, lenient.nearest_miss, lenient.decision) == ("int8", None, "pass")
    assert verdicts(lenient) == ["pass"] * 3
    assert all("limit 0.06" in reason for report in lenient.candidates for reason in report.reasons)
    assert lenient.report_of("int8").is_pareto


def test_metrics_are_told_for_the_baseline_each_candidate_and_every_slice(lenient, digits):
    assert (lenient.num_examples, lenient.primary_metric) == (300, "accuracy")
    assert lenient.slices["digit=3"] == np.sum(digits[1][:300] == 3)
    assert set(lenient.baseline["metrics"]) == {"accuracy", "f1", "agreement"}
    report = lenient.report_of("int8")
    assert set(report.metrics) == {"accuracy", "f1", "agreement", "sqnr_db"}
    assert set(report.drop) == {"accuracy", "f1", "agreement"}
    for name in ("accuracy", "f1"):
        assert report.drop[name] == pytest.approx(lenient.baseline["metrics"][name] - report.metrics[name])
    assert set(report.slices) == set(lenient.slices)
    told = report.slices["overall"]["accuracy"]
    assert told["value"] == report.metrics["accuracy"]
    assert told["lower"] <= told["drop"] <= told["upper"]
    assert sum(number for *_, number in report.changes) == round(300 * report.drop["agreement"])


def test_a_slice_on_which_a_metric_has_no_value_says_so(trained, candidates, schema, inputs, digits, tmp_path):
    records = [example(image, int(label)) for image, label in zip(digits[0][:60], digits[1][:60], strict=True)]
    files = [str(write_records(tmp_path / "file", records))]
    config = GateConfig(thresholds=(DROP,), metrics=("auc",), slices=DIGITS)
    with Evaluator(trained, candidates[:1], config, schema, DATA) as evaluator:
        accumulator = evaluator.evaluate_files(files)
    report = conclude(trained, candidates[:1], accumulator, inputs, config).report_of("float32")
    assert report.slices["digit=3"]["auc"] == {"unknown": "labels of one class only"}
    assert report.slices["overall"]["auc"]["value"] > 0.9


@pytest.mark.parametrize(
    ("options", "expected", "reason"),
    [
        ({"max_size_bytes": 12_000}, None, "size in bytes"),
        ({"max_gzip_bytes": 1}, ["fail"] * 3, "gzip size in bytes"),
        ({"max_latency_ratio": 0.75}, ["fail", "pass", "pass"], "median latency / baseline's 1 is 0.25 over"),
        ({"max_latency_p90_ratio": 0.5}, ["fail", "fail", "pass"], "90th percentile of latency / baseline's"),
        ({"max_memory_bytes": 300}, ["fail", "pass", "pass"], "memory in bytes on this host 400 is 100 over"),
    ],
)
def test_a_candidate_over_a_budget_fails_with_that_reason_alone(decide, candidates, options, expected, reason):
    evaluation = decide(**options)
    if expected is None:
        expected = ["fail" if len(one.content) > 12_000 else "pass" for one in candidates]
        assert set(expected) == {"fail", "pass"}
    assert verdicts(evaluation) == expected
    reasons = evaluation.report_of("float32").reasons
    assert len(reasons) == 1
    assert reasons[0].startswith(reason)


def test_a_goal_chooses_among_those_that_pass(decide):
    assert decide(goal="fastest").chosen == "int8"
    accurate = decide(goal="most_accurate")
    losses = {report.name: report.drop["accuracy"] for report in accurate.candidates}
    assert losses[accurate.chosen] == min(losses.values())
    weighted = (WeightedGoal(goal="most_accurate", weight=1e-6), WeightedGoal(goal="fastest", weight=1))
    assert decide(goal=weighted).chosen == "int8"
    assert decide(goal="smallest", max_latency_ratio=0.75).chosen == "int8"
    assert decide(goal="smallest", max_gzip_bytes=1).chosen is None


def test_nothing_is_chosen_when_nothing_passes_and_the_nearest_is_named(decide):
    evaluation = decide(Threshold(metric="accuracy", max_drop=-0.5), max_latency_ratio=0.75)
    assert (evaluation.chosen, evaluation.decision) == (None, "fail")
    assert verdicts(evaluation) == ["fail"] * 3
    assert evaluation.nearest_miss in ("float16", "int8")
    assert all(report.metrics and "limit -0.5" in report.reasons[0] for report in evaluation.candidates)


def test_what_the_examples_do_not_decide_is_refused_or_blessed_as_asked(decide):
    tight = Threshold(metric="accuracy", max_drop=0.003)
    refused = decide(tight)
    assert (refused.chosen, refused.decision) == (None, "undecided")
    assert "undecided" in verdicts(refused)
    reason = refused.report_of("float32").reasons[0]
    assert "undecided, " in reason
    assert decide(tight, undecided="bless").report_of("float32").verdict == "pass"
    assert decide(tight, confidence=None).report_of("float32").verdict == "pass"


def test_what_fails_is_not_blessed_with_the_undecided(decide):
    evaluation = decide(Threshold(metric="accuracy", max_drop=0.003), undecided="bless", max_size_bytes=1)
    assert verdicts(evaluation) == ["fail"] * 3


def test_every_slice_is_judged_where_that_is_asked_for(decide):
    evaluation = decide(Threshold(metric="accuracy", max_drop=0.3, slice="*"), slices=DIGITS, min_slice_examples=29)
    judged = [verdict for verdict in evaluation.report_of("float32").verdicts if verdict.subject.startswith("accuracy")]
    assert [verdict.slice for verdict in judged] == ["overall", *(f"digit={digit}" for digit in range(10))]
    with pytest.raises(ConfigError, match="in which there is no example"):
        decide(Threshold(metric="accuracy", max_drop=0.3, slice="digit=12"), slices=DIGITS)


def test_targets_must_run_the_file(decide):
    evaluation = decide(targets=(TargetRule(target="edgetpu"),))
    assert verdicts(evaluation)[0] == "fail"
    assert evaluation.report_of("float32").reasons[0].startswith("edgetpu does not run it: ")
    assert set(evaluation.report_of("int8").targets) == {"edgetpu"}


def test_a_candidate_that_failed_is_rejected_with_its_reason_and_the_others_are_judged(
    trained, candidates, accumulator, inputs
):
    missing = Candidate("missing", "", ModelError("no file there", "a file", "make it"))
    crashed = Candidate("crashed", "int8", b"crashes")
    known = Accumulator().merge(accumulator)
    known.models |= {name: ModelAccumulator(failure=f"{name} it is") for name in ("missing", "crashed")}
    evaluation = conclude(trained, [missing, candidates[0], crashed], known, inputs, LENIENT)
    assert (evaluation.chosen, verdicts(evaluation)) == ("float32", ["fail", "pass", "fail"])
    for name, size in (("missing", None), ("crashed", 7)):
        report = evaluation.report_of(name)
        assert report.reasons == (f"{name} it is",)
        assert (report.metrics, report.drop, report.latency_ms, report.verdicts) == ({}, {}, None, ())
        assert report.size_bytes == size
        assert (report.content_digest is None) == (size is None)
        assert not report.is_pareto


def test_when_no_candidate_could_be_evaluated_none_is_chosen_and_none_came_near(trained, accumulator, inputs):
    known = Accumulator().merge(accumulator)
    known.models["bad"] = ModelAccumulator(failure="it crashed")
    evaluation = conclude(trained, [Candidate("bad", "", b"x")], known, inputs, LENIENT)
    assert (evaluation.chosen, evaluation.nearest_miss, evaluation.decision) == (None, None, "fail")


def test_a_candidate_that_can_not_be_timed_is_rejected(decide, trained, candidates, accumulator, inputs, monkeypatch):
    def refuse(content, name, example, config):
        if name == "int8":
            raise ModelError("int8, which did not finish in 1 s while it was timed", "", "")
        return measure(content, name, example, config)

    monkeypatch.setattr(evaluations, "measure", refuse)
    evaluation = conclude(trained, candidates, accumulator, inputs, LENIENT)
    assert evaluation.report_of("int8").reasons == ("int8, which did not finish in 1 s while it was timed",)
    assert evaluation.chosen == "float16"


def test_a_file_is_measured_and_one_that_can_not_be_run_is_told(candidates, inputs):
    measured = measure(candidates[0].content, "plain", inputs, LENIENT)
    assert measured.size_bytes == len(candidates[0].content)
    assert 0 < measured.latency.p50_ms <= measured.latency.p90_ms
    assert measured.memory_bytes >= 0
    with pytest.raises(ModelError, match="some-file is not a file that LiteRT can load"):
        measure(b"garbage", "some-file", inputs, LENIENT)
    with pytest.raises(ModelError, match=r"plain, which did not finish in 0\.001 s while it was timed"):
        measure(candidates[0].content, "plain", inputs, LENIENT.model_copy(update={"time_limit_s": 0.001}))


def test_no_examples_and_broken_ones_are_refused(trained, candidates, inputs):
    with pytest.raises(ExamplesError, match="no examples to evaluate on"):
        conclude(trained, candidates, Accumulator(), inputs, LENIENT)
    with pytest.raises(ExamplesError, match="a broken file"):
        conclude(trained, candidates, Accumulator(errors=(ExamplesError("a broken file", "", ""),)), inputs, LENIENT)


def test_a_baseline_that_can_not_be_converted_is_still_compared_with(candidates, files, schema, inputs):
    image = LAYERS.Input((8, 8, 1), name="image")
    inverse = LAYERS.Lambda(lambda values: tf.linalg.inv(values[..., 0] + 2 * tf.eye(8)))(image)
    baseline = tf_keras.Model(image, LAYERS.Dense(10, name="scores")(LAYERS.Flatten()(inverse)))
    config = GateConfig(thresholds=(DROP,), max_latency_ratio=100)
    with Evaluator(baseline, candidates[:1], config, schema, DATA) as evaluator:
        accumulator = evaluator.evaluate_files(files)
    evaluation = conclude(baseline, candidates[:1], accumulator, inputs, config)
    assert "MatrixInverse" in evaluation.baseline["not_converted"]
    assert (evaluation.baseline["size_bytes"], evaluation.baseline["latency_ms"]) == (None, None)
    assert evaluation.report_of("float32").reasons == ("median latency / baseline's is not known, limit 100",)
    assert evaluation.report_of("float32").drop["accuracy"] < 0


def test_warnings_are_handed_on_and_each_step_is_told(trained, candidates, accumulator, inputs):
    told: list[str] = []
    evaluation = conclude(
        trained, candidates[:2], accumulator, inputs, LENIENT, warnings=["be careful"], tell=told.append
    )
    assert evaluation.warnings == ("be careful",)
    assert told == ["judging float32", "judging float16"]


def test_the_evaluation_is_written_as_json_in_full_precision(lenient):
    content = json.loads(json.dumps(lenient.to_dict(), allow_nan=False))
    assert (content["schema_version"], content["primary_metric"], content["chosen"]) == (2, "accuracy", "int8")
    assert GateConfig(**content["config"]) == LENIENT
    for report in content["candidates"]:
        assert report["metrics"] == lenient.report_of(report["name"]).metrics
