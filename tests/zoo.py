"""Models of the kinds that people really have, small and untrained, with random data that fits each of them."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from slimline.core.models.loading import load_model

NUM_EXAMPLES = 48
_CLASSES = 4


@dataclass(frozen=True)
class Specimen:
    """A compiled model and data for it.

    Attributes:
      model: Functional or Sequential, of tf_keras or of Keras 3.
      inputs: By input name, of shape (48, …).
      labels: Of shape (48, …), or by output name.
    """

    model: Any
    inputs: Mapping[str, np.ndarray]
    labels: Any

    def dataset(self, batch_size: int = 16) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((dict(self.inputs), self.labels)).batch(batch_size)


def cnn(keras: Any = tf_keras) -> Specimen:
    """Functional, with batch normalization."""
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="image")
    hidden = _conv(layers, image, 8, "1")
    hidden = _conv(layers, hidden, 8, "2")
    hidden = layers.Flatten(name="flatten")(layers.MaxPooling2D(name="pool")(hidden))
    hidden = layers.Dropout(0.2, name="dropout")(layers.Dense(16, activation="relu", name="dense")(hidden))
    return _classifier(keras, image, layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden))


def sequential(keras: Any = tf_keras) -> Specimen:
    """Sequential, with batch normalization."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 3), name="image"),
            layers.Conv2D(8, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(_CLASSES, activation="softmax", name="scores"),
        ]
    )
    return _compiled(keras, model, "sparse_categorical_crossentropy", _image(), _classes())


def residual(keras: Any = tf_keras) -> Specimen:
    """Residual blocks with a projection, as ResNet-8."""
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="image")
    hidden = _conv(layers, image, 8, "stem")
    for number, width in enumerate((8, 16)):
        inner = _conv(layers, hidden, width, f"{number}a")
        inner = layers.BatchNormalization(name=f"norm_{number}b")(
            layers.Conv2D(width, 3, padding="same", name=f"conv_{number}b")(inner)
        )
        shortcut = hidden if hidden.shape[-1] == width else layers.Conv2D(width, 1, name=f"project_{number}")(hidden)
        hidden = layers.ReLU(name=f"out_{number}")(layers.Add(name=f"add_{number}")([inner, shortcut]))
    hidden = layers.GlobalAveragePooling2D(name="pool")(hidden)
    return _classifier(keras, image, layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden))


def ds_cnn(keras: Any = tf_keras) -> Specimen:
    """Depthwise-separable blocks written out, as for keyword spotting."""
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="image")
    hidden = _conv(layers, image, 8, "stem")
    for number in range(2):
        hidden = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise_{number}")(hidden)
        hidden = layers.ReLU(name=f"relu_d{number}")(layers.BatchNormalization(name=f"norm_d{number}")(hidden))
        hidden = _conv(layers, hidden, 8, f"point_{number}", size=1)
    hidden = layers.GlobalAveragePooling2D(name="pool")(hidden)
    return _classifier(keras, image, layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden))


def separable(keras: Any = tf_keras) -> Specimen:
    """SeparableConv2D."""
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="image")
    hidden = layers.SeparableConv2D(8, 3, padding="same", name="separable_1")(image)
    hidden = layers.ReLU(name="relu_1")(layers.BatchNormalization(name="norm_1")(hidden))
    hidden = layers.SeparableConv2D(8, 3, activation="relu", name="separable_2")(hidden)
    hidden = layers.GlobalAveragePooling2D(name="pool")(hidden)
    return _classifier(keras, image, layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden))


def mobilenet_v1(keras: Any = tf_keras) -> Specimen:
    """MobileNet from keras.applications, alpha 0.25."""
    return _application(keras, keras.applications.MobileNet, alpha=0.25)


def mobilenet_v2(keras: Any = tf_keras) -> Specimen:
    """MobileNetV2 from keras.applications, alpha 0.35."""
    return _application(keras, keras.applications.MobileNetV2, alpha=0.35)


def preactivation(keras: Any = tf_keras) -> Specimen:
    """Pre-activation residual blocks: normalization before the convolution, as in ResNet50V2."""
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="image")
    hidden = layers.Conv2D(8, 3, padding="same", name="stem")(image)
    for number in range(2):
        inner = layers.BatchNormalization(name=f"norm_{number}")(hidden)
        inner = layers.Activation("relu", name=f"relu_{number}")(inner)
        inner = layers.Conv2D(8, 3, padding="same", name=f"conv_{number}")(inner)
        hidden = layers.Add(name=f"add_{number}")([hidden, inner])
    hidden = layers.GlobalAveragePooling2D(name="pool")(hidden)
    return _classifier(keras, image, layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden))


def resnet50v2(keras: Any = tf_keras) -> Specimen:
    """ResNet50V2 from keras.applications."""
    return _application(keras, keras.applications.ResNet50V2)


def autoencoder(keras: Any = tf_keras) -> Specimen:
    """Dense autoencoder: the label is the input."""
    layers = keras.layers
    signal = layers.Input((32,), name="signal")
    hidden = layers.Dense(8, activation="relu", name="encode")(signal)
    model = keras.Model(signal, layers.Dense(32, name="decode")(hidden), name="autoencoder")
    values = _random((NUM_EXAMPLES, 32))
    return _compiled(keras, model, "mse", {"signal": values}, values)


def tabular(keras: Any = tf_keras) -> Specimen:
    """Several named inputs and two outputs: a regression and a multi-label classification."""
    layers = keras.layers
    age, income = layers.Input((1,), name="age"), layers.Input((3,), name="income")
    hidden = layers.Concatenate(name="concat")([age, income])
    hidden = layers.Dense(16, activation="relu", name="dense")(hidden)
    outputs = [
        layers.Dense(1, name="price")(hidden),
        layers.Dense(3, activation="sigmoid", name="interests")(hidden),
    ]
    model = keras.Model([age, income], outputs, name="tabular")
    labels = {
        "price": _random((NUM_EXAMPLES, 1)),
        "interests": (_random((NUM_EXAMPLES, 3)) > 0.5).astype(np.float32),
    }
    inputs = {"age": _random((NUM_EXAMPLES, 1)), "income": _random((NUM_EXAMPLES, 3))}
    return _compiled(keras, model, {"price": "mse", "interests": "binary_crossentropy"}, inputs, labels)


def lstm(keras: Any = tf_keras) -> Specimen:
    """LSTM over a sequence."""
    layers = keras.layers
    sequence = layers.Input((6, 4), name="sequence")
    hidden = layers.LSTM(8, name="lstm")(sequence)
    scores = layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden)
    return _classifier(keras, sequence, scores, {"sequence": _random((NUM_EXAMPLES, 6, 4))})


def conv1d(keras: Any = tf_keras) -> Specimen:
    """Conv1D over a signal."""
    layers = keras.layers
    signal = layers.Input((16, 2), name="signal")
    hidden = layers.Conv1D(8, 3, activation="relu", name="conv")(signal)
    hidden = layers.GlobalAveragePooling1D(name="pool")(hidden)
    scores = layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden)
    return _classifier(keras, signal, scores, {"signal": _random((NUM_EXAMPLES, 16, 2))})


def text(keras: Any = tf_keras) -> Specimen:
    """Embedding of token numbers."""
    layers = keras.layers
    tokens = layers.Input((10,), name="tokens", dtype="int32")
    hidden = layers.GlobalAveragePooling1D(name="pool")(layers.Embedding(50, 8, name="embedding")(tokens))
    scores = layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden)
    numbers = np.random.default_rng(0).integers(0, 50, (NUM_EXAMPLES, 10)).astype(np.int32)
    return _classifier(keras, tokens, scores, {"tokens": numbers})


def preprocessing(keras: Any = tf_keras) -> Specimen:
    """Rescaling and Normalization inside of the model."""
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="image")
    normalization = layers.Normalization(name="normalize")
    normalization.adapt(_image()["image"])
    hidden = normalization(layers.Rescaling(2.0, offset=-1.0, name="rescale")(image))
    hidden = layers.GlobalAveragePooling2D(name="pool")(_conv(layers, hidden, 8, "1"))
    return _classifier(keras, image, layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden))


def nested(keras: Any = tf_keras) -> Specimen:
    """A backbone and a head that are models of their own."""
    layers = keras.layers
    part = layers.Input((8, 8, 3), name="part")
    backbone = keras.Model(part, layers.GlobalAveragePooling2D(name="pool")(_conv(layers, part, 8, "1")), name="body")
    head = keras.Sequential(
        [layers.Input((8,)), layers.Dense(_CLASSES, activation="softmax", name="scores")], name="head"
    )
    image = layers.Input((8, 8, 3), name="image")
    return _classifier(keras, image, head(backbone(image)))


def mixed_float16() -> Specimen:
    """Trained in half precision, with the output in float32 as TensorFlow advises."""
    layers = tf_keras.layers
    image = layers.Input((8, 8, 3), name="image")
    half = tf_keras.mixed_precision.Policy("mixed_float16")
    hidden = layers.Conv2D(8, 3, activation="relu", dtype=half, name="conv")(image)
    hidden = layers.GlobalAveragePooling2D(dtype=half, name="pool")(hidden)
    scores = layers.Dense(_CLASSES, activation="softmax", dtype="float32", name="scores")(hidden)
    return _classifier(tf_keras, image, scores)


def lambda_layer() -> Specimen:
    """A Lambda layer, whose code can't be copied."""
    layers = tf_keras.layers
    image = layers.Input((8, 8, 3), name="image")
    hidden = layers.Lambda(lambda values: values * 2.0, name="double")(image)
    hidden = layers.Flatten(name="flatten")(hidden)
    return _classifier(tf_keras, image, layers.Dense(_CLASSES, activation="softmax", name="scores")(hidden))


def subclassed() -> Specimen:
    """A subclassed model as a Trainer exports it: a SavedModel, whose layers can't be told apart."""
    with tempfile.TemporaryDirectory() as folder:
        model = _Subclassed()
        model(_image()["image"])
        model.save(folder, save_format="tf")
        return Specimen(load_model(Path(folder)), _image(), _classes())


class _Subclassed(tf_keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self._pool = tf_keras.layers.GlobalAveragePooling2D()
        self._scores = tf_keras.layers.Dense(_CLASSES, activation="softmax")

    def call(self, image: tf.Tensor) -> tf.Tensor:
        return self._scores(self._pool(image))


# Both Keras versions.
PORTABLE: Mapping[str, Callable[..., Specimen]] = {
    "CNN with BatchNorm": cnn,
    "Sequential CNN": sequential,
    "ResNet-8 shape": residual,
    "DS-CNN": ds_cnn,
    "SeparableConv2D": separable,
    "MobileNetV1 0.25": mobilenet_v1,
    "MobileNetV2 0.35": mobilenet_v2,
    "Pre-activation residual": preactivation,
    "Dense autoencoder": autoencoder,
    "Tabular, two outputs": tabular,
    "LSTM": lstm,
    "Conv1D": conv1d,
    "Embedding text model": text,
    "Preprocessing inside": preprocessing,
    "Nested models": nested,
}
# The large one is only looked at and converted.
LARGE: Mapping[str, Callable[..., Specimen]] = {"ResNet50V2": resnet50v2}
TF_KERAS_ONLY: Mapping[str, Callable[..., Specimen]] = {"mixed_float16": mixed_float16}
REFUSED: Mapping[str, Callable[..., Specimen]] = {"Lambda layer": lambda_layer, "Subclassed": subclassed}


def _conv(layers: Any, tensor: Any, width: int, name: str, size: int = 3) -> Any:
    tensor = layers.Conv2D(width, size, padding="same", use_bias=False, name=f"conv_{name}")(tensor)
    return layers.ReLU(name=f"relu_{name}")(layers.BatchNormalization(name=f"norm_{name}")(tensor))


def _application(keras: Any, build: Callable[..., Any], **options: Any) -> Specimen:
    image = keras.layers.Input((32, 32, 3), name="image")
    model = build(input_tensor=image, weights=None, classes=_CLASSES, **options)
    data = {"image": _random((NUM_EXAMPLES, 32, 32, 3))}
    return _compiled(keras, model, "sparse_categorical_crossentropy", data, _classes())


def _classifier(keras: Any, given: Any, scores: Any, inputs: Mapping[str, np.ndarray] | None = None) -> Specimen:
    model = keras.Model(given, scores, name="model")
    return _compiled(keras, model, "sparse_categorical_crossentropy", inputs or _image(), _classes())


def _compiled(keras: Any, model: Any, loss: Any, inputs: Mapping[str, np.ndarray], labels: Any) -> Specimen:
    model.compile(keras.optimizers.Adam(1e-3), loss)
    return Specimen(model, inputs, labels)


def _image() -> dict[str, np.ndarray]:
    return {"image": _random((NUM_EXAMPLES, 8, 8, 3))}


def _classes() -> np.ndarray:
    return np.random.default_rng(1).integers(0, _CLASSES, NUM_EXAMPLES)


def _random(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(2).random(shape).astype(np.float32)
