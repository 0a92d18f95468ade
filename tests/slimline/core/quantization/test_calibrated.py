"""Models that end TensorFlow's converter when it calibrates them; Keras is what their files are compared with."""

import numpy as np
import pytest
import tf_keras

from slimline.core.models.unrolling import recurrent_layers, unroll
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.tflite.flatbuffer import float_operations
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ModelError

layers = tf_keras.layers
INT8 = QuantizationConfig(scheme="int8")


def series(number: int = 32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(number, 12, 3)).astype(np.float32)


def records():
    return ({"series": series()[row : row + 1]} for row in range(32))


def network(*inner: tf_keras.layers.Layer, steps: int | None = 12) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(1)
    given = layers.Input((steps, 3), name="series")
    return tf_keras.Sequential([given, *inner, layers.Dense(3, activation="softmax", name="scores")])


def test_a_gru_is_unrolled_and_told(caplog):
    model = network(layers.GRU(8, name="gru"))
    content = quantize(model, INT8, records)
    found = TFLiteModel(content, "gru").predict({"series": series()})["scores"]
    np.testing.assert_allclose(found, np.asarray(model(series())), atol=0.03)
    assert "unrolled" in caplog.text
    # The process that the converter ended is replaced.
    plain = quantize(network(layers.Flatten()), INT8, records)
    assert plain[4:8] == b"TFL3"


@pytest.mark.parametrize("inner", [layers.GRU(8), layers.LSTM(8), layers.Bidirectional(layers.GRU(4))])
def test_nothing_is_split_that_the_converter_could_leave_in_float(inner):
    """It left splits in float in seven of twelve conversions of one GRU."""
    unrolled = unroll(network(inner))
    file = quantize(unrolled, QuantizationConfig(scheme="float32"))
    assert "SPLIT" not in float_operations(file)


def test_what_can_not_be_unrolled_names_the_layer_and_the_ways_out():
    with pytest.raises(ModelError, match="gru_of_any_length") as caught:
        quantize(network(layers.GRU(4, name="gru_of_any_length"), steps=None), INT8, records)
    assert "unroll=True" in str(caught.value)
    assert "dynamic_range" in str(caught.value)


@pytest.mark.parametrize(
    "inner", [layers.GRU(4), layers.LSTM(4), layers.Bidirectional(layers.SimpleRNN(4)), layers.RNN(layers.GRUCell(4))]
)
def test_an_unrolled_model_is_equal(inner):
    model = network(inner)
    unrolled = unroll(model)
    assert unrolled is not None
    np.testing.assert_allclose(np.asarray(unrolled(series())), np.asarray(model(series())), atol=1e-5)
    assert recurrent_layers(unrolled) == recurrent_layers(model)


@pytest.mark.parametrize("model", [network(layers.Flatten()), network(layers.GRU(4), steps=None)])
def test_what_has_nothing_to_unroll_is_left(model):
    assert unroll(model) is None
