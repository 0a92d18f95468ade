import gzip
import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.evaluation import Candidate, evaluate
from slimline.core.gates import GateConfig, Threshold
from slimline.core.quantization import QuantizationConfig, quantize
from slimline.core.runtime import TFLiteModel
from slimline.errors import ExamplesError, ModelError

LAYERS = tf_keras.layers
LENIENT = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.05),))


@pytest.fixture(scope="module")
def candidates(converted):
    return [Candidate(scheme, scheme, converted[scheme]) for scheme in ("float32", "float16", "int8")]


@pytest.fixture
def batches(digits):
    return cut(digits, 64)


@pytest.fixture(scope="module")
def lenient(trained, candidates, digits):
    """The evaluation of all candidates where all pass."""
    return evaluate(trained, candidates, cut(digits, 64), LENIENT)


def cut(digits, size):
    images, labels = digits[0][:200], digits[1][:200]
    return [({"image": images[i : i + size]}, labels[i : i + size]) for i in range(0, 200, size)]


def plain(model):
    return quantize(model, QuantizationConfig(scheme="float32"))


def poisoned(model):
    """Returns a copy that predicts NaN."""
    copy = tf_keras.models.clone_model(model)
    copy.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    return copy


def classifier(shape=(8, 8, 1), name="image", output="scores", classes=10):
    image = LAYERS.Input(shape, name=name)
    return tf_keras.Model(image, LAYERS.Dense(classes, name=output)(LAYERS.Flatten()(image)))


@pytest.fixture(scope="module")
def misfits(trained, candidates, digits):
    """The evaluation of one good candidate among others of which each has another fault."""
    contents = {
        "missing": ModelError("no file there", "a file", "make it"),
        "garbage": b"garbage",
        "shape": plain(classifier((4, 4))),
        "input": plain(classifier(name="picture")),
        "output": plain(classifier(output="classes")),
        "classes": plain(classifier(classes=9)),
        "nan": plain(poisoned(trained)),
    }
    broken = [Candidate(name, "", content) for name, content in contents.items()]
    return evaluate(trained, [*broken[:3], candidates[0], *broken[3:]], cut(digits, 64), LENIENT)


def test_metrics_are_those_of_all_examples_whatever_the_batches(trained, candidates, digits, lenient):
    images, labels = digits[0][:200], digits[1][:200]
    baseline = np.mean(trained.predict(images, verbose=0).argmax(1) == labels)
    for evaluation in (lenient, evaluate(trained, candidates, cut(digits, 23), LENIENT)):
        assert evaluation.num_examples == 200
        assert evaluation.baseline["metrics"]["accuracy"] == pytest.approx(baseline, abs=1e-12)
        for candidate in candidates:
            report = evaluation.report_of(candidate.name)
            scores = TFLiteModel(candidate.content, candidate.name).predict({"image": images})["scores"]
            accuracy = np.mean(scores.argmax(1) == labels)
            assert report.metrics["accuracy"] == pytest.approx(accuracy, abs=1e-12)
            assert report.drop["accuracy"] == pytest.approx(baseline - accuracy, abs=1e-12)


def test_a_report_identifies_and_weighs_the_file(candidates, lenient):
    for candidate, report in zip(candidates, lenient.candidates, strict=True):
        assert (report.name, report.scheme) == (candidate.name, candidate.scheme)
        assert report.content_digest == f"sha256:{hashlib.sha256(candidate.content).hexdigest()}"
        assert report.size_bytes == len(candidate.content)
        assert report.gzip_bytes == len(gzip.compress(candidate.content, 9))
    assert lenient.baseline["size_bytes"] == pytest.approx(lenient.report_of("float32").size_bytes, rel=0.05)
    assert min(lenient.baseline["latency_ms"], *(report.latency_ms for report in lenient.candidates)) > 0


def test_the_smallest_that_passes_is_chosen_and_each_has_its_reasons(lenient):
    assert lenient.chosen == "int8"
    assert [report.verdict for report in lenient.candidates] == ["pass"] * 3
    assert all("limit 0.05" in reason for report in lenient.candidates for reason in report.reasons)


def test_a_candidate_over_its_budget_fails_with_that_reason_alone(trained, candidates, batches):
    config = LENIENT.model_copy(update={"max_size_bytes": len(candidates[1].content)})
    evaluation = evaluate(trained, candidates, batches, config)
    assert [report.verdict for report in evaluation.candidates] == ["fail", "pass", "pass"]
    assert [reason[:13] for reason in evaluation.report_of("float32").reasons] == ["size in bytes"]


def test_nothing_is_chosen_when_nothing_passes(trained, candidates, batches):
    strict = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=-1),))
    evaluation = evaluate(trained, candidates, batches, strict)
    assert evaluation.chosen is None
    assert {report.verdict for report in evaluation.candidates} == {"fail"}
    assert all(report.metrics and "over the limit of -1" in report.reasons[0] for report in evaluation.candidates)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "no file there"),
        ("garbage", "garbage is not a file that LiteRT can load"),
        ("shape", "its inputs are {'image': (4, 4)}, but the baseline's are {'image': (8, 8, 1)}"),
        ("input", "its inputs are {'picture': (8, 8, 1)}, but the baseline's are"),
        ("output", "its outputs are {'classes': (10,)}, but the baseline's are {'scores': (10,)}"),
        ("classes", "its outputs are {'scores': (9,)}, but the baseline's are"),
        ("nan", "it predicts NaN or infinity"),
    ],
)
def test_a_candidate_that_can_not_be_compared_fails_with_the_reason(misfits, name, reason):
    report = misfits.report_of(name)
    assert report.verdict == "fail"
    assert len(report.reasons) == 1
    assert report.reasons[0].startswith(reason)
    assert (report.metrics, report.drop, report.latency_ms) == ({}, {}, None)
    assert (report.size_bytes is None) == (report.content_digest is None) == (name == "missing")


def test_the_others_are_judged_as_if_they_were_alone(misfits, lenient):
    assert misfits.chosen == "float32"
    assert misfits.report_of("float32").metrics == lenient.report_of("float32").metrics
    assert len(misfits.candidates) == 8


def test_a_candidate_that_fails_on_a_late_example_only_fails_all_the_same(batches):
    """A logarithm of what only the last example makes negative."""
    image = LAYERS.Input((8, 8, 1), name="image")
    scores = LAYERS.Lambda(tf.math.log, name="scores")(LAYERS.Dense(10)(LAYERS.Flatten()(image)))
    candidate = tf_keras.Model(image, scores)
    candidate.set_weights([-np.ones((64, 10)), np.full(10, 1000.0)])
    batches[-1][0]["image"] = np.concatenate([batches[-1][0]["image"][:-1], np.full((1, 8, 8, 1), 100, np.float32)])
    evaluation = evaluate(classifier(), [Candidate("log", "", plain(candidate))], batches, LENIENT)
    assert evaluation.report_of("log").reasons == ("it predicts NaN or infinity",)


def test_a_baseline_that_predicts_nan_refuses_everything(trained, candidates, batches):
    with pytest.raises(ModelError, match="a baseline that predicts NaN"):
        evaluate(poisoned(trained), candidates, batches, LENIENT)


def test_a_baseline_of_two_outputs_is_refused(many, candidates, batches):
    with pytest.raises(ModelError, match="a baseline with the outputs two, one"):
        evaluate(many, candidates, batches, LENIENT)


def test_no_examples_are_refused(trained, candidates):
    with pytest.raises(ExamplesError, match="no examples to evaluate on"):
        evaluate(trained, candidates, [], LENIENT)


def test_labels_that_do_not_suit_the_metric_are_refused(trained, candidates, batches):
    with pytest.raises(ExamplesError, match="a whole number from 0 to 9"):
        evaluate(trained, candidates, [(inputs, labels + 5) for inputs, labels in batches], LENIENT)


def test_a_baseline_that_can_not_be_converted_is_still_compared_with(candidates, batches):
    image = LAYERS.Input((8, 8, 1), name="image")
    inverse = LAYERS.Lambda(lambda values: tf.linalg.inv(values[..., 0] + 2 * tf.eye(8)))(image)
    baseline = tf_keras.Model(image, LAYERS.Dense(10, name="scores")(LAYERS.Flatten()(inverse)))
    evaluation = evaluate(baseline, candidates, batches, LENIENT)
    assert "MatrixInverse" in evaluation.baseline["not_converted"]
    assert (evaluation.baseline["size_bytes"], evaluation.baseline["latency_ms"]) == (None, None)
    assert evaluation.chosen == "int8"


def test_a_sequential_baseline_is_evaluated(batches):
    layers = [LAYERS.Input((8, 8, 1), name="image"), LAYERS.Flatten(), LAYERS.Dense(10, name="scores")]
    model = tf_keras.Sequential(layers)
    evaluation = evaluate(model, [Candidate("plain", "float32", plain(model))], batches, LENIENT)
    assert evaluation.report_of("plain").drop == {"accuracy": 0}


def test_the_evaluation_is_written_as_json_in_full_precision(misfits):
    content = json.loads(json.dumps(misfits.to_dict(), allow_nan=False))
    assert (content["schema_version"], content["primary_metric"], content["chosen"]) == (1, "accuracy", "float32")
    assert [report["name"] for report in content["candidates"]] == [report.name for report in misfits.candidates]
    for report in content["candidates"]:
        assert report["metrics"] == misfits.report_of(report["name"]).metrics
