"""A fused LSTM remembers in variables: what it is asked about one example must not depend on the one before."""

import numpy as np
import pytest
import tf_keras

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.tflite.flatbuffer import keeps_state
from slimline.core.tflite.io_spec import describe_ends
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ExamplesError

LAYERS = tf_keras.layers


def recurrent(layer: tf_keras.layers.Layer) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(1)
    series = LAYERS.Input((12, 3), name="series")
    return tf_keras.Model(series, LAYERS.Dense(2, activation="softmax", name="p")(layer(series)))


@pytest.mark.parametrize("layer", [LAYERS.LSTM(8), LAYERS.Bidirectional(LAYERS.LSTM(6)), LAYERS.GRU(8)])
def test_a_float_file_is_keras_example_by_example_in_any_order(layer):
    model = recurrent(layer)
    values = np.random.default_rng(0).normal(size=(24, 12, 3)).astype(np.float32) * 3
    content = quantize(model, QuantizationConfig(scheme="float32"))
    given = TFLiteModel(content, "file")
    expected = model.predict(values, verbose=0)
    np.testing.assert_allclose(given.predict({"series": values})["p"], expected, atol=1e-5)
    np.testing.assert_allclose(given.predict({"series": values[::-1]})["p"], expected[::-1], atol=1e-5)


def test_the_app_is_told_to_reset_the_state():
    def described(content: bytes) -> bool:
        spec = describe_ends(content, inputs={}, features={}, preprocessing="", label_names=())
        return bool(spec.to_dict()["reset_state"])

    fused = quantize(recurrent(LAYERS.LSTM(8)), QuantizationConfig(scheme="float32"))
    assert keeps_state(fused)
    assert described(fused)
    x = LAYERS.Input((4,), name="x")
    plain = quantize(tf_keras.Model(x, LAYERS.Dense(2, name="y")(x)), QuantizationConfig(scheme="float32"))
    assert not described(plain)


def test_a_calibration_record_with_infinity_is_refused_before_the_converter_dies_of_it():
    x = LAYERS.Input((4,), name="x")
    model = tf_keras.Model(x, LAYERS.Dense(2, name="y")(x))
    records = [{"x": np.zeros((1, 4), np.float32)}, {"x": np.array([[0, np.inf, 0, 0]], np.float32)}]
    with pytest.raises(ExamplesError, match="NaN or infinity in 'x' of calibration record 2"):
        quantize(model, QuantizationConfig(scheme="int8"), lambda: iter(records))
