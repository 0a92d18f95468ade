"""What once went wrong with quantized files and their reports."""

import json
import subprocess

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.isolation import run_isolated
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import convert_quantization_aware, quantize
from slimline.core.quantization.packaging import InputOrigins, package
from slimline.core.quantization.production import Product, SampleInputs, examine, produce
from slimline.core.quantization.report import make_report
from slimline.core.quantization.selective import search
from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.tflite.activations import ActivationError
from slimline.core.tflite.flatbuffer import Operation
from slimline.core.tflite.provenance import describe_origin
from slimline.core.tflite.runtime import TFLiteModel
from slimline.core.tflite.smoke_run import run_smoke_test
from slimline.errors import ModelError, SlimlineError

LAYERS = tf_keras.layers
ORIGIN = describe_origin(
    source_digest="sha256:0", config="{}", backend="converter", calibration_digest=None, training_digest=None
)


def gelu():
    values = LAYERS.Input((4,), name="values")
    hidden = LAYERS.Lambda(tf.math.erf, name="erf")(LAYERS.Dense(3, name="dense")(values))
    return tf_keras.Model(values, LAYERS.Dense(2, name="out")(hidden), name="gelu")


@pytest.mark.parametrize("backend", ["converter", "litert-quantizer"])
def test_an_operation_that_tflite_lacks_is_named_with_the_remedy(backend):
    with pytest.raises(ModelError, match=r"model 'gelu' with the operation Erf, which TFLite does not have") as refused:
        quantize(gelu(), QuantizationConfig(scheme="float32", backend=backend))
    assert "allow_select_ops" in refused.value.remedy


def test_a_file_with_select_ops_is_packed_even_where_no_kernels_are_linked_in():
    config = QuantizationConfig(scheme="dynamic_range", allow_select_ops=True)
    model = gelu()
    package(model, config, produce(model, config), None, inputs=InputOrigins({}, "None."), origin=ORIGIN)


@pytest.mark.parametrize("content", [b"", b"garbage", b"garbage" * 100])
def test_bytes_that_are_no_model_are_refused(content):
    with pytest.raises(ModelError):
        TFLiteModel(content, "some-file")
    with pytest.raises(ModelError):
        run_smoke_test(content, "some-file", {"x": np.ones((1, 4), np.float32)}, 60)


def test_a_float16_convolution_is_compared_and_has_its_bytes(trained, converted, digits):
    product = Product(converted["float16"], converted["float32"])
    records = SampleInputs({"image": digits[0][:10]}, "calibration")
    config = QuantizationConfig(scheme="float16")
    report = make_report(config, product, examine(trained, product, records), records, origin=ORIGIN).to_dict()
    conv = next(layer for layer in report["layers"] if layer["op"] == "CONV_2D")
    assert conv["weight_bytes"] > 0
    assert conv["weight_dtype"] == "float16"
    assert conv["num_channels"] == 8
    assert conv["float_weight_bytes"] == 320


def test_the_last_operation_of_int16x8_is_compared(trained, converted, digits):
    product = Product(converted["int16x8"], converted["float32"])
    records = SampleInputs({"image": digits[0][:10]}, "calibration")
    config = QuantizationConfig(scheme="int16x8")
    report = make_report(config, product, examine(trained, product, records), records, origin=ORIGIN).to_dict()
    assert report["layers"][-1]["op"] == "SOFTMAX"
    assert report["layers"][-1]["num_channels"] == 10


def test_an_infinite_activation_leaves_the_report_strict_json():
    values = LAYERS.Input((3,), name="values")
    hidden = LAYERS.Lambda(lambda x: tf.maximum(tf.math.log(tf.nn.relu(x)), -10.0), name="log")(values)
    model = tf_keras.Model(values, LAYERS.Dense(2, name="out")(hidden), name="logs")
    config = QuantizationConfig(scheme="dynamic_range")
    inputs = np.array([[0, 1, 2], [1, 0, 2], [3, 1, 0]], np.float32)
    packed = package(
        model,
        config,
        produce(model, config),
        lambda: ({"values": row[None]} for row in inputs),
        inputs=InputOrigins({}, "None."),
        origin=ORIGIN,
    )
    json.dumps(packed.report.to_dict(), allow_nan=False)


def test_records_with_nan_leave_io_spec_strict_json():
    values = LAYERS.Input((3,), name="values")
    hidden = LAYERS.Lambda(lambda x: tf.where(tf.math.is_nan(x), 0.0, x), name="impute")(values)
    model = tf_keras.Model(values, LAYERS.Dense(2, name="out")(hidden), name="gaps")
    config = QuantizationConfig(scheme="float32")
    inputs = np.array([[np.nan, 1, 2], [1, 0, 2]], np.float32)
    packed = package(
        model,
        config,
        produce(model, config),
        lambda: ({"values": row[None]} for row in inputs),
        inputs=InputOrigins({}, "None."),
        origin=ORIGIN,
    )
    json.dumps(packed.io_spec.to_dict(), allow_nan=False)


class Broken:
    """Three operations in a row, the first and the last of which destroy the signal: shares end at 1."""

    def convert(self, kept):
        return ",".join(sorted(kept)).encode()

    def run(self, content):
        kept = set(content.decode().split(","))
        return {"y": np.full((10, 1), 10.0) + (0 if {"a", "d"} <= kept else 10)}

    def errors(self, content):
        def error(name, before):
            operation = Operation("CONV_2D", name, 0, "float32", before, "", 0)
            return ActivationError(operation, np.ones(1), np.ones(1), np.ones(1))

        return [error("a", ()), error("b", ("a",)), error("c", ("b",)), error("d", ("c",))]


def test_the_goal_is_met_when_keeping_everything_meets_it():
    fake = Broken()
    config = SelectiveConfig(min_sqnr_db=40, max_conversions=64)
    assert search(config, {"y": np.full((10, 1), 10.0)}, fake.convert, fake.run, fake.errors).best.meets_goal


def test_ends_are_those_asked_for_after_training_too():
    layers = [LAYERS.Input((16, 1), name="x"), LAYERS.Conv1D(4, 3), LAYERS.Flatten(), LAYERS.Dense(2)]
    model = tf_keras.Sequential(layers)
    model.compile("adam", "mse")
    data = tf.data.Dataset.from_tensor_slices((tf.random.normal((32, 16, 1)), tf.zeros((32, 2)))).batch(16)
    trained = train_quantization_aware(model, data, 32, QatConfig(epochs=1))
    config = QuantizationConfig(scheme="int8", training="qat", input_type="int8", output_type="int8")
    if not trained.left:
        pytest.skip("nothing was left in float")
    try:
        content = convert_quantization_aware(trained, None, config)
    except SlimlineError:
        return
    (taken,) = TFLiteModel(content, "file").inputs.values()
    assert np.dtype(taken["dtype"]) == np.int8


def test_a_child_without_a_terminal_finds_nothing_to_read():
    assert run_isolated(subprocess.getoutput, "cat", time_limit_s=5) == ""
