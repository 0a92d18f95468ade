import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.isolation import IsolatedError
from slimline.core.targets import micro
from slimline.core.targets.judging import judge_target
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ModelError
from tests.slimline.core.targets.conftest import convert, small_model

LAYERS = tf_keras.layers
EXAMPLE = {"x": np.random.default_rng(1).random((1, 9, 9, 2)).astype(np.float32)}


@pytest.fixture
def answering(monkeypatch):
    """Lets the process that runs the model answer or fail as told."""

    def answer(outcome):
        def run(*arguments, **options):
            if isinstance(outcome, Exception):
                raise outcome
            return {"arena_bytes": 1000, "difference": 0.0, "allowed": 1.0, "is_integer": True, **outcome}

        monkeypatch.setattr(micro, "run_isolated", run)

    return answer


@pytest.fixture(scope="module")
def without_kernel():
    """A file with an operation that TFLite Micro does not have."""
    values = LAYERS.Input((8, 4), name="x")
    sums = LAYERS.Lambda(lambda rows: tf.math.segment_sum(rows[0], [0, 0, 0, 0, 1, 1, 1, 1])[None], name="y")(values)
    return convert(tf_keras.Model(values, sums), scheme="float32", static_batch=True)


@pytest.mark.slow
def test_a_file_is_really_run_in_a_process_of_its_own(static_int8, capfd):
    report = judge_target("micro", static_int8, EXAMPLE)
    assert (report.runs, report.accelerated_share, report.reasons) == (True, 1, ())
    assert report.arena_bytes
    assert report.max_difference is not None
    assert report.max_difference <= 1
    assert report.source == "TFLite Micro, run on this host"
    assert "Arena" not in "".join(capfd.readouterr())


def test_an_operation_without_a_kernel_is_refused_with_its_message(without_kernel):
    with pytest.raises(ModelError, match="Didn't find op for builtin opcode 'SEGMENT_SUM'"):
        micro.run_in_micro(without_kernel, {})


def test_the_refusal_is_the_report_s_reason(without_kernel, answering):
    answering(ModelError("TFLite Micro can't run it: no such op", "operations that it has", "choose another"))
    report = micro.judge(without_kernel)
    assert (report.runs, report.accelerated_share) == (False, 0)
    assert report.reasons == ("TFLite Micro can't run it: no such op",)
    assert (report.arena_bytes, report.max_difference) == (None, None)


def test_its_output_is_litert_s(static_int8, float32):
    from tflite_micro.python.tflite_micro import runtime

    for content in (static_int8, float32):
        found = micro.run_in_micro(content, EXAMPLE)
        assert found["difference"] <= found["allowed"]
        interpreter = runtime.Interpreter.from_bytes(content)
        reference = TFLiteModel(content, "the file")
        values = EXAMPLE["x"]
        if reference.inputs["x"]["dtype"] == np.int8:
            scale, zero_point = reference.inputs["x"]["quantization"]
            values = np.clip(np.round(values / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_input(values, 0)
        interpreter.invoke()
        expected = reference.predict_stored(EXAMPLE)["y"]
        np.testing.assert_allclose(interpreter.get_output(0), expected, atol=found["allowed"])


def test_several_inputs_are_each_given_to_their_own():
    right, left = LAYERS.Input((3,), name="right"), LAYERS.Input((3,), name="left")
    model = tf_keras.Model([right, left], LAYERS.Subtract(name="y")([LAYERS.Dense(3)(right), left]))
    content = convert(model, scheme="float32", static_batch=True)
    example = {"left": np.full((1, 3), 5, np.float32), "right": np.full((1, 3), -2, np.float32)}
    found = micro.run_in_micro(content, example)
    assert found["difference"] <= 1e-6
    assert not found["is_integer"]


def test_the_arena_grows_with_the_model(static_int8):
    small = micro.run_in_micro(static_int8, {})
    wide = micro.run_in_micro(convert(small_model(32), scheme="int8", static_batch=True), {})
    assert 0 < small["arena_bytes"] < wide["arena_bytes"]


def test_another_output_than_litert_s_is_refused(static_int8, answering):
    answering({"difference": 3.0})
    report = micro.judge(static_int8)
    assert (report.runs, report.max_difference) == (False, 3)
    assert report.reasons == ("its output differs from LiteRT's by 3, over 1",)
    assert report.arena_bytes == 1000
    answering({"difference": 1.0})
    assert micro.judge(static_int8).runs


def test_a_difference_of_floats_is_kept_as_a_number(static_int8, answering):
    answering({"difference": 0.25, "allowed": 1e-4, "is_integer": False})
    report = micro.judge(static_int8)
    assert (report.max_difference, report.details) == (None, {"max_difference_real": 0.25})
    assert report.reasons == ("its output differs from LiteRT's by 0.25, over 0.0001",)


def test_a_crash_is_a_verdict_with_the_last_that_it_said(static_int8, answering):
    answering(IsolatedError("crash", "crashed with SIGSEGV", "first\nlast words"))
    assert micro.judge(static_int8).reasons == ("TFLite Micro crashed with SIGSEGV: last words",)
    answering(IsolatedError("time", "did not finish in 120 s"))
    assert micro.judge(static_int8).reasons == ("TFLite Micro did not finish in 120 s",)


def test_without_the_package_it_says_how_to_install_it(static_int8, monkeypatch, answering):
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    with pytest.raises(ConfigError) as refused:
        micro.run_in_micro(static_int8, {})
    assert "slimline[micro]" in refused.value.remedy
    answering(refused.value)
    with pytest.raises(ConfigError, match="without TFLite Micro"):
        micro.judge(static_int8)
