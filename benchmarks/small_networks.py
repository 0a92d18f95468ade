"""Small networks of the kinds that people put on devices, each with the data that it is trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import tf_keras

from slimline_pipelines.digits.trainer import build_model

layers = tf_keras.layers


@dataclass(frozen=True)
class SmallNetwork:
    """A network with its data.

    Attributes:
      data: Name of a data set.
      build: Returns it, compiled.
      epochs: Passes of the float training.
    """

    data: str
    build: Callable[[], tf_keras.Model]
    epochs: int


def build_residual(shape: tuple[int, int, int] = (8, 8, 1)) -> tf_keras.Model:
    """Returns a residual network in the shape of ResNet-8: three blocks, two of them with strides."""
    image = layers.Input(shape, name="image")
    hidden = _block(image, 16, 1, "stem")
    for number, (width, stride) in enumerate(((16, 1), (32, 2), (64, 2))):
        inner = _block(_block(hidden, width, stride, f"{number}a"), width, 1, f"{number}b", activation=False)
        if stride > 1:
            hidden = layers.Conv2D(width, 1, strides=stride, name=f"project_{number}")(hidden)
        hidden = layers.ReLU(name=f"out_{number}")(layers.Add(name=f"add_{number}")([inner, hidden]))
    hidden = layers.GlobalAveragePooling2D(name="pool")(hidden)
    return _classifier(image, hidden, 10, "residual")


def _block(hidden: object, width: int, stride: int, name: str, *, activation: bool = True) -> object:
    hidden = layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False, name=f"conv_{name}")(hidden)
    hidden = layers.BatchNormalization(name=f"norm_{name}")(hidden)
    return layers.ReLU(name=f"relu_{name}")(hidden) if activation else hidden


def build_separable() -> tf_keras.Model:
    """Returns a network of depthwise separable convolutions for images of 28 x 28, in the shape of MobileNet."""
    image = layers.Input((28, 28, 1), name="image")
    hidden = _block(image, 16, 2, "stem")
    for number, (width, stride) in enumerate(((32, 1), (64, 2), (64, 1))):
        hidden = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"depthwise_{number}")(
            hidden
        )
        hidden = layers.BatchNormalization(name=f"norm_depthwise_{number}")(hidden)
        hidden = layers.ReLU(name=f"relu_depthwise_{number}")(hidden)
        hidden = layers.Conv2D(width, 1, use_bias=False, name=f"pointwise_{number}")(hidden)
        hidden = layers.BatchNormalization(name=f"norm_pointwise_{number}")(hidden)
        hidden = layers.ReLU(name=f"relu_pointwise_{number}")(hidden)
    hidden = layers.GlobalAveragePooling2D(name="pool")(hidden)
    return _classifier(image, hidden, 10, "separable")


def build_recurrent(*, unroll: bool = False) -> tf_keras.Model:
    """Returns an LSTM over 29 frames of 12 cepstra; unrolled it becomes plain operations, which every scheme has."""
    series = layers.Input((29, 12), name="series")
    return _classifier(series, layers.LSTM(48, unroll=unroll, name="lstm")(series), 9, "recurrent")


def build_transformer() -> tf_keras.Model:
    """Returns an encoder of two layers over 29 frames of 12 cepstra."""
    series = layers.Input((29, 12), name="series")
    hidden = layers.Dense(48, name="embed")(series)
    for number in range(2):
        attended = layers.MultiHeadAttention(4, 12, name=f"attention_{number}")(hidden, hidden)
        hidden = layers.LayerNormalization(name=f"norm_{number}a")(
            layers.Add(name=f"add_{number}a")([hidden, attended])
        )
        inner = layers.Dense(96, activation="relu", name=f"wide_{number}")(hidden)
        inner = layers.Dense(48, name=f"narrow_{number}")(inner)
        hidden = layers.LayerNormalization(name=f"norm_{number}b")(layers.Add(name=f"add_{number}b")([hidden, inner]))
    return _classifier(series, layers.GlobalAveragePooling1D(name="pool")(hidden), 9, "transformer")


def build_tabular() -> tf_keras.Model:
    """Returns dense layers over 18 features."""
    features = layers.Input((18,), name="features")
    hidden = layers.Dense(96, activation="relu", name="dense_1")(features)
    hidden = layers.Dense(64, activation="relu", name="dense_2")(hidden)
    return _classifier(features, hidden, 7, "tabular")


def _classifier(given: object, hidden: object, num_classes: int, name: str) -> tf_keras.Model:
    scores = layers.Dense(num_classes, activation="softmax", name="scores")(hidden)
    model = tf_keras.Model(given, scores, name=name)
    model.compile(tf_keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


NETWORKS = {
    "cnn": SmallNetwork("digits", build_model, 30),
    "residual": SmallNetwork("digits", build_residual, 30),
    "separable": SmallNetwork("mnist", build_separable, 15),
    "recurrent": SmallNetwork("vowels", build_recurrent, 60),
    "tabular": SmallNetwork("segment", build_tabular, 60),
}
