"""Small models as devices get them."""

from collections.abc import Iterator

import numpy as np
import tf_keras

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize

LAYERS = tf_keras.layers


def convert(model: tf_keras.Model, **options: object) -> bytes:
    """Converts a model, calibrated on noise."""
    random = np.random.default_rng(0)

    def noise() -> Iterator[dict[str, np.ndarray]]:
        for _ in range(4):
            yield {
                name: random.random((1, *tensor.shape[1:])).astype(np.float32)
                for name, tensor in zip(model.input_names, model.inputs, strict=True)
            }

    config = QuantizationConfig(**options)
    return quantize(model, config, noise if config.scheme in ("int8", "int16x8") else None)


def small_model(width: int = 4) -> tf_keras.Model:
    """Every kind of kernel of a CNN, on images of 9 x 9 with 2 channels."""
    image = LAYERS.Input((9, 9, 2), name="x")
    hidden = LAYERS.Conv2D(width, 3, strides=2, activation="relu")(image)
    hidden = LAYERS.DepthwiseConv2D(3, padding="same")(hidden)
    hidden = LAYERS.Conv2DTranspose(3, 2, strides=2)(hidden)
    return tf_keras.Model(image, LAYERS.Dense(5, name="y")(LAYERS.Flatten()(hidden)))
