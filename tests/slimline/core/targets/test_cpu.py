import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.targets import cpu
from slimline.core.targets.judging import judge_target
from slimline.core.tflite.graph import read_operators
from tests.operators import data, operator


@pytest.fixture
def judge_nodes(monkeypatch):
    """Judges operations without a file."""

    def run(*operators):
        monkeypatch.setattr(cpu, "read_operators", lambda content: operators)
        return cpu.judge(b"")

    return run


def test_int8_and_float_files_run_accelerated(static_int8, float32):
    for content in (static_int8, float32):
        report = judge_target("cpu", content)
        assert (report.target, report.runs, report.accelerated_share, report.reasons) == ("cpu", True, 1, ())
        assert [one.op for one in report.placements] == [one.op for one in read_operators(content)]


def test_16_bit_activations_run_without_the_fast_kernels(int16x8):
    report = cpu.judge(int16x8)
    assert (report.runs, report.accelerated_share) == (True, 0)
    (reason,) = report.reasons
    assert reason.startswith("CONV_2D")
    assert "16-bit activations run on reference kernels" in reason


def test_what_xnnpack_does_not_have_runs_all_the_same(judge_nodes):
    report = judge_nodes(operator("CONV_2D", macs=3), operator("CUMSUM", macs=1))
    assert (report.runs, report.accelerated_share) == (True, 0.75)
    assert report.reasons == ("CUMSUM: XNNPACK does not have it: it runs on LiteRT's own kernels",)


def test_an_operation_of_tensorflow_needs_its_kernels(judge_nodes):
    assert "TensorFlow's own kernels" in judge_nodes(operator("FlexErf")).reasons[0]


def test_only_the_step_into_16_bits_is_not_held_against_it(judge_nodes):
    wide = [data(1, 4, dtype="int16")]
    report = judge_nodes(operator("QUANTIZE", outputs=wide), operator("ADD", wide, wide))
    assert [one.is_accelerated for one in report.placements] == [True, False]


def test_sparse_encoding_is_not_accepted():
    """It runs on x86 and fails on ARM: nothing that runs here may be taken for a CPU's verdict."""
    model = tf_keras.Sequential([tf_keras.layers.Input((64,), name="x"), tf_keras.layers.Dense(64, name="y")])
    kernel = np.zeros((64, 64), np.float32)
    # Blocks of 1 x 4, which the encoding keeps together.
    kernel[::8, :] = 1
    model.set_weights([kernel.T.copy(), np.zeros(64, np.float32)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    report = cpu.judge(converter.convert())
    assert not report.runs
    assert "sparse encoding" in report.reasons[0]
    assert report.accelerated_share < 1
