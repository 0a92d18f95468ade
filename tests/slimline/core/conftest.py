"""The trained model, converted with every scheme."""

import numpy as np
import pytest
import tf_keras

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.schemes import CALIBRATED_SCHEMES, SCHEMES
from tests.handmade import wide_model
from tests.small_models import convert, small_model


@pytest.fixture(scope="session")
def converted(trained, digits) -> dict[str, bytes]:
    """The `.tflite` file of each scheme, calibrated on 50 images."""

    def calibration():
        return ({"image": image[np.newaxis]} for image in digits[0][:50])

    return {
        scheme: quantize(
            trained, QuantizationConfig(scheme=scheme), calibration if scheme in CALIBRATED_SCHEMES else None
        )
        for scheme in SCHEMES
    }


@pytest.fixture(scope="session")
def wide(digits) -> tf_keras.Model:
    """A trained CNN that plain int8 breaks; tests must not change it."""
    return wide_model(*digits)


@pytest.fixture(scope="session")
def many() -> tf_keras.Model:
    """A model of three inputs and two outputs, neither in the order of their names."""
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    right, left = layers.Input((3,), name="right"), layers.Input((2,), name="left")
    ids = layers.Input((5,), dtype="int32", name="ids")
    words = layers.Flatten()(layers.Embedding(20, 4)(ids))
    hidden = layers.Concatenate()([right, left, words])
    outputs = [layers.Dense(2, name="two")(hidden), layers.Dense(1, name="one")(hidden)]
    return tf_keras.Model([right, ids, left], outputs, name="many")


@pytest.fixture(scope="session")
def many_inputs() -> dict[str, np.ndarray]:
    """A batch of 20 for `many`."""
    random = np.random.default_rng(0)
    return {
        "left": random.uniform(-1, 1, (20, 2)).astype(np.float32),
        "right": random.uniform(-1, 1, (20, 3)).astype(np.float32),
        "ids": random.integers(0, 20, (20, 5)).astype(np.int32),
    }


@pytest.fixture(scope="session")
def static_int8() -> bytes:
    return convert(small_model(), scheme="int8", static_batch=True)


@pytest.fixture(scope="session")
def open_int8() -> bytes:
    return convert(small_model(), scheme="int8")


@pytest.fixture(scope="session")
def float_ends() -> bytes:
    """8-bit inside, float outside."""
    return convert(small_model(), scheme="int8", static_batch=True, input_type="float32", output_type="float32")


@pytest.fixture(scope="session")
def float32() -> bytes:
    return convert(small_model(), scheme="float32", static_batch=True)


@pytest.fixture(scope="session")
def int16x8() -> bytes:
    return convert(small_model(), scheme="int16x8", static_batch=True)
