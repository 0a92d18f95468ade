"""What once went wrong with targets, measurements and pictures."""

from xml.etree import ElementTree

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.evaluation.accumulators import Accumulator
from slimline.core.evaluation.metrics import find_metric
from slimline.core.targets import edgetpu, gpu
from slimline.core.targets.device import read_measurement
from slimline.core.tflite.graph import read_operators
from slimline.errors import ConfigError
from slimline.report.figures import draw_slices
from tests.evaluations import candidate
from tests.operators import data, operator
from tests.small_models import convert

LAYERS = tf_keras.layers


def macs(model, **options):
    return {one.op: one.macs for one in read_operators(convert(model, scheme="float32", **options)) if one.macs}


def test_a_product_with_a_transposed_left_side_is_counted_right():
    x = LAYERS.Input((5, 7), name="x")
    product = LAYERS.Lambda(lambda v: tf.matmul(v, v, transpose_a=True), name="y")(x)
    assert macs(tf_keras.Model(x, product)) == {"BATCH_MATMUL": 7 * 7 * 5}


def test_states_of_an_lstm_are_no_weights():
    x = LAYERS.Input((6, 4), name="x")
    found = macs(tf_keras.Model(x, LAYERS.LSTM(8, name="y")(x)))
    assert found == {"UNIDIRECTIONAL_SEQUENCE_LSTM": 6 * 4 * (8 * 4 + 8 * 8)}


def test_strides_are_refused_by_the_edge_tpu():
    x = LAYERS.Input((8, 8, 4), name="x")
    y = LAYERS.Conv2D(4, 3, name="y")(LAYERS.Lambda(lambda v: v[:, ::2, ::2, :])(x))
    report = edgetpu.judge(convert(tf_keras.Model(x, y), scheme="int8", static_batch=True))
    assert report.reasons[0] == "STRIDED_SLICE: its strides are not all 1"


def test_padding_of_channels_is_refused_by_the_edge_tpu():
    assert (
        edgetpu.unsupported_reason(operator("PAD", [data(1, 8, 8, 4)], [data(1, 8, 8, 6)]))
        == "it pads more than x and y"
    )


def test_a_squeeze_of_an_inner_dimension_is_refused_by_the_edge_tpu():
    assert edgetpu.unsupported_reason(operator("SQUEEZE", [data(1, 5, 1, 10)], [data(1, 5, 10)]))
    assert edgetpu.unsupported_reason(operator("SQUEEZE", [data(1, 1, 5, 10)], [data(1, 5, 10)])) == ""


def test_a_custom_operation_is_found_in_the_log():
    rows = edgetpu.read_log("CUSTOM 1 Operation is working on an unsupported data type\n")
    given = operator("TFLite_Detection_PostProcess")
    assert edgetpu._logged_reason(given, rows) == "Operation is working on an unsupported data type"


def test_what_the_gpu_delegate_does_not_have_is_refused():
    x = LAYERS.Input((8, 4), name="x")
    largest = LAYERS.Lambda(lambda v: tf.math.top_k(v, 2)[0], name="y")(x)
    report = gpu.judge(convert(tf_keras.Model(x, largest), scheme="float32", static_batch=True))
    assert report.reasons


def test_warnings_of_another_subgraph_are_not_those_of_the_main_one():
    printed = (
        "Subgraph#0 main(T#0) -> [T#1]\n  Op#0 WHILE(T#0) -> [T#1]\n\nSubgraph#1 body(T#1_0) -> [T#1_1]\n"
        "  Op#0 TOPK_V2(T#1_0) -> [T#1_1]\nGPU COMPATIBILITY WARNING: Not supported op TOPK_V2\n"
    )
    assert gpu.read_warnings(printed) == {}


@pytest.mark.parametrize("content", [b"\x1c\x00\x00\x00TFL3\x8c", None])
def test_a_model_or_a_folder_in_the_place_of_a_measurement_is_refused(content, tmp_path):
    path = tmp_path / "given"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_measurement(str(path), None)


@pytest.mark.parametrize("name", ["C:\\data", "$\\frac{1}{2}$", "back\\$lash"])
def test_a_backslash_is_shown_once(name):
    figures = {"accuracy": {"value": 0.9, "drop": 0.01, "lower": 0.0, "upper": 0.02}}
    row = candidate("int8", slices=dict.fromkeys(("overall", f"word={name}"), figures))
    picture = ElementTree.fromstring(str(draw_slices(row, "accuracy", None)))
    shown = picture.iter("{http://www.w3.org/2000/svg}text")
    assert f"word={name}" in ["".join(element.itertext()) for element in shown]


def test_a_gate_on_agreement_alone_counts_the_baseline_too():
    counted = Accumulator()
    scores = np.array([[0.1, 0.9]], np.float32)
    metrics = {"agreement": find_metric("agreement", ())}
    counted.add(np.array([1]), {"": scores, "int8": scores}, metrics, [["overall"]], np.zeros(1, np.uint64))
    assert "" in counted.models
