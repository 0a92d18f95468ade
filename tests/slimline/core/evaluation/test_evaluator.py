import hashlib
import os
import signal

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.evaluation.evaluator import Evaluator, choose_output
from slimline.core.evaluation.gates import GateConfig, Threshold
from slimline.core.evaluation.metrics import METRICS
from slimline.core.evaluation.running_candidate import Candidate
from slimline.core.evaluation.slices import SliceBy
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.tflite.model_server import predict
from slimline.errors import ConfigError, ExamplesError, ModelError
from tests.conftest import example, write_records
from tests.handmade import convolution, gather
from tests.records import tf_example

LAYERS = tf_keras.layers
DATA = ExamplesConfig(label_key="digit")
MANY = """
feature { name: "left" type: FLOAT shape { dim { size: 2 } } }
feature { name: "right" type: FLOAT shape { dim { size: 3 } } }
feature { name: "ids" type: INT shape { dim { size: 5 } } }
feature { name: "first" type: FLOAT shape { dim { size: 1 } } }
feature { name: "second" type: FLOAT shape { dim { size: 2 } } }
"""
OWN = """
import tensorflow as tf

def prepare(features):
    return {"image": tf.reshape(features["image"], [-1, 8, 8, 1])}, 9 - features["digit"][:, 0]

def read(files, schema, batch_size):
    data = {"image": tf.zeros((50, 8, 8, 1))}, tf.zeros(50, tf.int64)
    return tf.data.Dataset.from_tensor_slices(data).batch(batch_size)
"""


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory):
    """200 of the images in two files."""
    folder = tmp_path_factory.mktemp("files")
    records = [example(image, int(label)) for image, label in zip(digits[0][:200], digits[1][:200], strict=True)]
    return [str(write_records(folder / name, part)) for name, part in (("a", records[:90]), ("b", records[90:]))]


@pytest.fixture(scope="module")
def candidates(converted):
    return [Candidate(scheme, scheme, converted[scheme]) for scheme in ("float32", "int8")]


@pytest.fixture
def _own_code(tmp_path, monkeypatch):
    (tmp_path / "own_evaluation.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def gate(metric="accuracy", **options):
    return GateConfig(thresholds=(Threshold(metric=metric, max_drop=0.05),), **options)


def evaluate(baseline, candidates, files, schema, config=None, data=DATA):
    with Evaluator(baseline, candidates, config or gate(), schema, data) as evaluator:
        return evaluator.evaluate_files(files)


def value(counted, model, name="accuracy", slice_name="overall"):
    return METRICS[name].statistic.values(counted.models[model].metrics[slice_name, name])[1]


def children(evaluator):
    """The processes of the candidates."""
    return [one._process._child for one in evaluator._candidates if one._process is not None]


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


def gather_baseline():
    """A model with the ends of `gather`, and its records."""
    x = LAYERS.Input((4,), name="x")
    return tf_keras.Model(x, LAYERS.Dense(2, activation="softmax", name="y")(x))


@pytest.fixture(scope="module")
def gather_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gather")
    records = [tf_example(x=[float(n), 1.0, 2.0, 3.0], label=n % 2) for n in range(8)]
    schema = text_format.Parse(
        'feature { name: "x" type: FLOAT shape { dim { size: 4 } } }'
        'feature { name: "label" type: INT shape { dim { size: 1 } } }',
        schema_pb2.Schema(),
    )
    return [str(write_records(folder / "file", records))], schema


def test_accuracy_is_that_of_a_plain_loop_over_litert(trained, converted, candidates, files, schema, digits):
    counted = evaluate(trained, candidates, files, schema, gate(batch_size=23))
    images, labels = digits[0][:200], digits[1][:200]
    baseline = trained.predict(images, verbose=0).argmax(axis=1)
    assert value(counted, "") == pytest.approx(np.mean(baseline == labels))
    for name in ("float32", "int8"):
        interpreter = Interpreter(model_content=converted[name])
        interpreter.allocate_tensors()
        given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        decided = []
        for image in images:
            scale, zero_point = given["quantization"]
            stored = np.clip(np.round(image / scale) + zero_point, -128, 127) if scale else image
            interpreter.set_tensor(given["index"], stored[np.newaxis].astype(given["dtype"]))
            interpreter.invoke()
            decided.append(interpreter.get_tensor(wanted["index"]).argmax())
        assert value(counted, name) == pytest.approx(np.mean(np.array(decided) == labels))
        joint = counted.models[name].metrics["overall", "accuracy"].joint.by_code
        assert joint.get(2, 0) == np.sum((baseline == labels) & (np.array(decided) != labels))
        assert joint.get(1, 0) == np.sum((baseline != labels) & (np.array(decided) == labels))
        assert counted.models[name].content_digest == f"sha256:{hashlib.sha256(converted[name]).hexdigest()}"
        assert sum(counted.models[name].changes.values()) == np.sum(np.array(decided) != baseline)
    assert counted.num_examples["overall"] == 200


def test_counts_are_the_same_however_the_examples_are_cut_into_files_and_batches(
    trained, candidates, files, schema, tmp_path, digits
):
    records = [example(image, int(label)) for image, label in zip(digits[0][:200], digits[1][:200], strict=True)]
    whole = [str(write_records(tmp_path / "whole", records[::-1], compressed=False))]
    config = gate(metrics=("f1",), slices=(SliceBy(features=("digit",)),))
    first = evaluate(trained, candidates, files, schema, config)
    other = evaluate(trained, candidates, whole, schema, config.model_copy(update={"batch_size": 7}))
    assert first.num_examples == other.num_examples
    for name in first.keys:
        assert sorted(np.concatenate(first.keys[name])) == sorted(np.concatenate(other.keys[name]))
    assert first.models == other.models


def test_slices_by_label_add_up_to_the_whole(trained, candidates, files, schema, digits):
    counted = evaluate(trained, candidates, files, schema, gate(slices=(SliceBy(features=("digit",)),)))
    counts = counted.num_examples
    expected = {f"digit={digit}": int(np.sum(digits[1][:200] == digit)) for digit in range(10)}
    assert counts == {"overall": 200, **expected}
    decided = trained.predict(digits[0][:200], verbose=0).argmax(axis=1)
    for digit in range(10):
        share = np.mean(decided[digits[1][:200] == digit] == digit)
        assert value(counted, "", slice_name=f"digit={digit}") == pytest.approx(share)


@pytest.fixture(scope="module")
def misfits(trained, candidates, files, schema):
    """What is counted of one good candidate among others of which each has another fault."""
    contents = {
        "missing": ModelError("no file there", "a file", "make it"),
        "garbage": b"garbage",
        "nothing": b"",
        "stride": convolution(0),
        "shape": plain(classifier((4, 4))),
        "input": plain(classifier(name="picture")),
        "output": plain(classifier(output="classes")),
        "classes": plain(classifier(classes=9)),
        "nan": plain(poisoned(trained)),
    }
    broken = [Candidate(name, "", content) for name, content in contents.items()]
    return evaluate(trained, [*broken[:3], candidates[1], *broken[3:]], files[:1], schema)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "no file there"),
        ("garbage", "garbage is not a file that LiteRT can load"),
        ("nothing", "nothing is not a file that LiteRT can load"),
        ("stride", "stride is not a file that LiteRT can load"),
        ("shape", "its inputs are {'image': (4, 4)}, but the baseline's are {'image': (8, 8, 1)}"),
        ("input", "its inputs are {'picture': (8, 8, 1)}, but the baseline's are"),
        ("output", "its outputs are {'classes': (10,)}, but the baseline's are {'scores': (10,)}"),
        ("classes", "its outputs are {'scores': (9,)}, but the baseline's are"),
        ("nan", "it predicts NaN or infinity"),
    ],
)
def test_a_candidate_that_can_not_be_compared_has_the_reason_and_the_others_go_on(misfits, name, reason):
    assert misfits.models[name].failure.startswith(reason)
    assert misfits.models["int8"].failure == ""
    assert misfits.models["int8"].metrics.keys() == misfits.models[""].metrics.keys()


def test_a_candidate_that_fails_while_it_predicts_has_the_reason(gather_files):
    files, schema = gather_files
    candidates = [Candidate("beyond", "", gather(1_000_000)), Candidate("fine", "", gather(1))]
    counted = evaluate(gather_baseline(), candidates, files, schema, data=ExamplesConfig(label_key="label"))
    assert "failed while it ran" in counted.models["beyond"].failure or "crashed" in counted.models["beyond"].failure
    assert counted.models["fine"].failure == ""
    assert counted.num_examples["overall"] == 8


def test_a_candidate_that_fails_on_a_late_example_only_fails_all_the_same(schema, tmp_path, digits):
    # A logarithm of what only the last example makes negative.
    image = LAYERS.Input((8, 8, 1), name="image")
    scores = LAYERS.Lambda(tf.math.log, name="scores")(LAYERS.Dense(10)(LAYERS.Flatten()(image)))
    model = tf_keras.Model(image, scores)
    model.set_weights([-np.ones((64, 10)), np.full(10, 1000.0)])
    late = [*digits[0][:20], np.full((8, 8, 1), 100, np.float32)]
    files = [str(write_records(tmp_path / "late", [example(image, 1) for image in late]))]
    counted = evaluate(classifier(), [Candidate("log", "", plain(model))], files, schema, gate(batch_size=4))
    assert counted.models["log"].failure == "it predicts NaN or infinity"


def test_a_candidate_that_crashes_between_batches_is_told_once_and_the_others_go_on(trained, candidates, files, schema):
    with Evaluator(trained, [Candidate("dies", "", candidates[0].content), candidates[1]], gate(), schema, DATA) as run:
        first = run.evaluate_files(files[:1])
        assert first.models["dies"].failure == ""
        os.kill(children(run)[0].pid, signal.SIGSEGV)
        second = run.evaluate_files(files[1:])
    assert second.models["dies"].failure == "it crashed with SIGSEGV"
    assert not second.models["dies"].metrics
    merged = first.merge(second)
    assert merged.models["dies"].failure == "it crashed with SIGSEGV"
    assert merged.models["int8"].failure == ""
    assert merged.num_examples["overall"] == 200


def test_a_candidate_that_hangs_is_ended_and_the_others_go_on(trained, candidates, files, schema):
    config = gate(time_limit_s=10, batch_size=100)
    with Evaluator(
        trained, [Candidate("hangs", "", candidates[0].content), candidates[1]], config, schema, DATA
    ) as run:
        hanging = children(run)[0]
        os.kill(hanging.pid, signal.SIGSTOP)
        counted = run.evaluate_files(files[:1])
        assert hanging.poll() is not None
    assert counted.models["hangs"].failure == "it did not finish in 10 s"
    assert counted.models["int8"].failure == ""


def test_a_candidate_over_its_memory_is_refused_and_the_others_go_on(trained, candidates, files, schema):
    image = LAYERS.Input((8, 8, 1), name="image")
    hidden = LAYERS.UpSampling2D(2048, name="huge")(image)
    huge = tf_keras.Model(image, LAYERS.Dense(10, name="scores")(LAYERS.GlobalAveragePooling2D()(hidden)))
    config = gate(memory_limit_bytes=600_000_000)
    counted = evaluate(trained, [Candidate("huge", "", plain(huge)), candidates[0]], files[:1], schema, config)
    assert counted.models["huge"].failure
    assert counted.models["float32"].failure == ""


def test_inputs_out_of_an_int8_files_range_are_clipped(trained, converted, schema, tmp_path, digits):
    loud = [example(image * 1_000, int(label)) for image, label in zip(digits[0][:40], digits[1][:40], strict=True)]
    clipped = [
        example((image > 0).astype(np.float32), int(label))
        for image, label in zip(digits[0][:40], digits[1][:40], strict=True)
    ]
    decided = [
        evaluate(
            trained,
            [Candidate("int8", "", converted["int8"])],
            [str(write_records(tmp_path / name, records))],
            schema,
        )
        for name, records in (("loud", loud), ("clipped", clipped))
    ]
    assert value(decided[0], "int8") == value(decided[1], "int8")
    assert value(decided[0], "int8", "accuracy") > 0.2


def test_a_baseline_that_predicts_nan_refuses_everything(trained, candidates, files, schema):
    with pytest.raises(ModelError, match="a baseline that predicts NaN"):
        evaluate(poisoned(trained), candidates, files, schema)


def test_a_record_with_nan_is_told_and_is_nobodys_fault(trained, candidates, schema, tmp_path, digits):
    broken = digits[0][1].copy()
    broken[3, 3] = np.nan
    records = [example(image, 1) for image in (digits[0][0], broken)]
    files = [str(write_records(tmp_path / "nan", records))]
    with pytest.raises(ExamplesError, match="NaN or infinity in 'image'"):
        evaluate(trained, candidates, files, schema)


def test_records_with_the_same_feature_are_one_observation(trained, candidates, files, schema):
    counted = evaluate(trained, candidates, files, schema, gate(independent_by="digit"))
    assert len(np.unique(np.concatenate(counted.keys["overall"]))) == 10
    with pytest.raises(ExamplesError, match="independent_by= 'digti'"):
        evaluate(trained, candidates, files, schema, gate(independent_by="digti"))


def test_one_of_several_outputs_is_judged(many, many_inputs, tmp_path):
    expected = many([many_inputs[name] for name in many.input_names])
    rows = [
        tf_example(
            **{name: values[row].tolist() for name, values in many_inputs.items()},
            second=(expected[0][row].numpy() + 1).tolist(),
            first=(expected[1][row].numpy() - 2).tolist(),
        )
        for row in range(20)
    ]
    files = [str(write_records(tmp_path / "many", rows))]
    schema = text_format.Parse(MANY, schema_pb2.Schema())
    data = ExamplesConfig(label_key={"one": "first", "two": "second"})
    candidates = [Candidate("plain", "", plain(many))]
    for output, error in (("two", 1), ("one", 2)):
        config = gate("mean_absolute_error", output=output)
        counted = evaluate(many, candidates, files, schema, config, data)
        for model in ("", "plain"):
            assert value(counted, model, "mean_absolute_error") == pytest.approx(error, abs=1e-3)


@pytest.mark.parametrize(
    ("chosen", "hint"), [(None, "a baseline with the outputs two, one"), ("on", "Did you mean 'one'")]
)
def test_of_several_outputs_one_must_be_chosen(many, chosen, hint):
    with pytest.raises(ModelError) as refused:
        choose_output(many, chosen)
    assert hint in str(refused.value)
    assert choose_output(many, "two") == "two"
    assert choose_output(classifier(), None) == "scores"


@pytest.mark.usefixtures("_own_code")
def test_a_preprocessing_fn_and_an_input_fn_of_ones_own_are_used(trained, candidates, files, schema, digits):
    data = ExamplesConfig(preprocessing_fn="own_evaluation.prepare")
    counted = evaluate(trained, candidates, files, schema, gate(slices=(SliceBy(features=("digit",)),)), data)
    decided = trained.predict(digits[0][:200], verbose=0).argmax(axis=1)
    assert value(counted, "") == pytest.approx(np.mean(decided == 9 - digits[1][:200]))
    assert len(counted.num_examples) == 11
    counted = evaluate(trained, candidates, files[:1], schema, data=ExamplesConfig(input_fn="own_evaluation.read"))
    assert counted.num_examples["overall"] == 50
    # All that it reads is alike: one observation.
    assert len(set(counted.keys["overall"][0])) == 1


@pytest.mark.usefixtures("_own_code")
def test_slices_of_what_an_input_fn_reads_are_refused(trained, candidates, schema):
    data, config = ExamplesConfig(input_fn="own_evaluation.read"), gate(slices=(SliceBy(features=("digit",)),))
    with pytest.raises(ConfigError, match="slices or independent_by for examples that input_fn reads"):
        Evaluator(trained, candidates, config, schema, data)


def test_slices_by_what_the_schema_does_not_have_are_refused(trained, candidates, schema):
    config = gate(slices=(SliceBy(features=("digti",)),))
    with pytest.raises(ExamplesError, match="slices by 'digti'") as refused:
        Evaluator(trained, candidates, config, schema, DATA)
    assert "Did you mean 'digit'" in str(refused.value)


def test_labels_that_do_not_suit_the_metric_are_refused(trained, candidates, schema, tmp_path, digits):
    files = [str(write_records(tmp_path / "wrong", [example(image, 12) for image in digits[0][:3]]))]
    with pytest.raises(ExamplesError, match="a whole number from 0 to 9"):
        evaluate(trained, candidates, files, schema)


def test_examples_are_given_from_the_first_file_that_has_any(trained, candidates, files, schema, tmp_path, digits):
    empty = str(write_records(tmp_path / "empty", []))
    with Evaluator(trained, candidates[:1], gate(), schema, DATA) as evaluator:
        inputs = evaluator.first_examples([empty, *files], 3)
        np.testing.assert_array_equal(inputs["image"], digits[0][:3])
        with pytest.raises(ExamplesError, match="no examples to evaluate on"):
            evaluator.first_examples([empty])
        assert evaluator.evaluate_files([empty]).num_examples == {}


def test_closing_ends_every_process(trained, candidates, schema):
    with Evaluator(trained, candidates, gate(), schema, DATA) as evaluator:
        started = children(evaluator)
        assert [child.poll() for child in started] == [None, None]
    assert all(child.poll() is not None for child in started)


def test_a_sequential_baseline_is_evaluated(files, schema):
    layers = [LAYERS.Input((8, 8, 1), name="image"), LAYERS.Flatten(), LAYERS.Dense(10, name="scores")]
    model = tf_keras.Sequential(layers)
    counted = evaluate(model, [Candidate("plain", "float32", plain(model))], files[:1], schema)
    assert value(counted, "plain") == value(counted, "")
    assert not counted.models["plain"].changes


def test_predicting_needs_a_model_that_was_loaded():
    with pytest.raises(IndexError):
        predict({}, "scores")
