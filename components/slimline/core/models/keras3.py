"""A bridge for models that Keras 3 saved: TFMOT knows the layers of tf_keras (Keras 2) only.

The model is rebuilt from layers that mean the same in both, which are listed; weights are copied, and both models must
give the same outputs on random input. What is not listed is refused by name. hard_sigmoid and hard_silu are not:
Keras 3 computes them by another formula than tf_keras (docs/optimization.md).
"""

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from slimline.core.internals.keras3 import Functional, call_with_list, graph_of, producer_of, run_through_graph
from slimline.core.models.keras3_compiling import compile_alike
from slimline.core.models.rebuilding import full_precision, require_same_outputs
from slimline.errors import ModelError

_TOLERANCE = 1e-4
# fmt: off
_LAYERS = frozenset((
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "AveragePooling1D",
    "AveragePooling2D", "AveragePooling3D", "BatchNormalization", "Bidirectional", "CategoryEncoding",
    "Concatenate", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Cropping1D",
    "Cropping2D", "Cropping3D", "Dense", "DepthwiseConv1D", "DepthwiseConv2D", "Dot", "Dropout", "ELU",
    "EinsumDense", "Embedding", "Flatten", "GRU", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GlobalMaxPooling3D", "GroupNormalization", "LSTM", "LayerNormalization", "LeakyReLU", "Masking",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum", "Minimum", "Multiply", "Normalization", "PReLU",
    "Permute", "ReLU", "RepeatVector", "Rescaling", "Reshape", "SeparableConv1D", "SeparableConv2D",
    "SimpleRNN", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Subtract",
    "TimeDistributed", "UnitNormalization", "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D",
    "ZeroPadding2D", "ZeroPadding3D",
))
_ACTIVATIONS = frozenset((
    "elu", "exponential", "gelu", "leaky_relu", "linear", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "softmax", "softplus", "softsign", "swish", "tanh",
))
# They change images while a model trains, and give back what they get when it infers.
_AUGMENTATION = frozenset((
    "AugMix", "CutMix", "Equalization", "MixUp", "RandAugment", "RandomBrightness",
    "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform", "RandomErasing",
    "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
    "RandomTranslation", "RandomZoom", "Solarization",
))
# fmt: on
# Operators between tensors, which Keras 3 records as operations of these names; NotEqual makes an Embedding's mask.
_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Subtract": operator.sub,
    "Multiply": operator.mul,
    "Divide": operator.truediv,
    "NotEqual": tf.not_equal,
    "TrueDivide": operator.truediv,
}
# All weights are copied: how they were first drawn does not matter. Bidirectional sets the last one in both.
_DROPPED = ("dtype", "build_config", "quantization_config", "seed", "zero_output_for_mask")
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
_REMEDY = (
    "leave out Pruner, Clusterer and QAT: post-training quantization takes the export() folder of any model. Or build "
    "these layers with tf_keras"
)


def load_keras3(path: Path, custom_objects: Mapping[str, Any]) -> tf_keras.Model:
    """Loads a model that Keras 3 saved, as an equal one of tf_keras.

    Args:
      path: A `.keras` or `.h5` file.
      custom_objects: The user's own classes, so that a model which has them is refused by their names.

    Raises:
      ModelError: The file can't be loaded, or the model has parts that tf_keras has not.
    """
    try:
        model = keras.saving.load_model(path, custom_objects=dict(custom_objects), compile=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{path}, saved by Keras 3, could not be loaded: {error}", "a .keras file that Keras 3 can load", _REMEDY
        ) from error
    return to_tf_keras(model)


def to_tf_keras(model: Any) -> tf_keras.Model:
    """Translates a functional or Sequential model of Keras 3; nested models are flattened, augmentation is left out.

    Loss, metrics and optimizer come along with all their options; what of them tf_keras lacks, fine-tuning refuses.

    Raises:
      ModelError: The model is subclassed, has layers or operations that are not listed, or the translation's outputs
        differ.
    """
    if not isinstance(model, keras.Sequential | Functional) or not model.built:
        raise ModelError(
            f"{model.name!r}, a subclassed or unbuilt model of Keras 3", "a functional or Sequential model", _REMEDY
        )
    unknown = _untranslatable(graph_of(model))
    if unknown:
        raise ModelError(
            f"model {model.name!r} of Keras 3 with parts that can't be translated to tf_keras: {'; '.join(unknown)}",
            "layers that mean the same in Keras 3 and in tf_keras",
            _REMEDY,
        )
    bridge = _Bridge()
    inputs = [
        tf_keras.Input(
            tensor.shape[1:], batch_size=tensor.shape[0], name=tensor.name, dtype=full_precision(tensor.dtype)
        )
        for tensor in model.inputs
    ]
    outputs = bridge.run(graph_of(model), inputs, (), {})
    translated = tf_keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)
    bridge.copy_weights()
    require_same_outputs(_Listed(model), translated, tolerance=_TOLERANCE)
    compile_alike(model, translated)
    return translated


class _Listed:
    """A Keras 3 model that takes and gives lists, as its translation does."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.name = model.name
        self.inputs = model.inputs

    def __call__(self, inputs: Any, training: bool = False) -> list[Any]:
        return call_with_list(self._model, inputs if isinstance(inputs, list) else [inputs])


def _as_it_is(tensor: Any, **_: Any) -> Any:
    return tensor


def _without_recorded_context(layer: tf_keras.layers.Layer) -> Callable[..., Any]:
    """Calls a layer without what Keras 3 writes down with every call.

    It records `training=False` and decides anew when the model runs; tf_keras would keep to what is recorded, and
    neither drop out nor update statistics nor prune a recurrent layer while it trains.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return layer(*args, **{key: value for key, value in kwargs.items() if key != "training" and value is not None})

    return call


class _Bridge:
    """Runs a Keras 3 graph with translated layers on tensors of tf_keras."""

    def __init__(self) -> None:
        self._translated: dict[int, tuple[Any, tf_keras.layers.Layer]] = {}

    def run(self, model: Any, inputs: Sequence[Any], path: tuple[str, ...], renamed: Mapping[int, str]) -> list[Any]:
        output_names = {producer_of(tensor).name for tensor in model.outputs}

        def translate(operation: Any) -> Callable[..., Any]:
            name = renamed.get(id(operation)) or "_".join((*path, operation.name))
            if isinstance(operation, keras.Sequential | Functional):
                nested = graph_of(operation)
                # As in `rebuild`: outputs are named by layers.
                is_output = operation.name in output_names and len(nested.outputs) == 1
                inner = {id(producer_of(nested.outputs[0])): name} if is_output else {}

                def run_nested(tensors: Any, **_: Any) -> Any:
                    outputs = self.run(nested, tf.nest.flatten(tensors), (*path, operation.name), inner)
                    return outputs if len(outputs) > 1 else outputs[0]

                return run_nested
            if _is_augmentation(operation):
                return _as_it_is
            if isinstance(operation, keras.layers.Layer):
                return _without_recorded_context(self._layer(operation, name))
            return _OPERATORS[type(operation).__name__]

        return list(tf.nest.flatten(run_through_graph(model, inputs, translate)))

    def copy_weights(self) -> None:
        for original, translated in self._translated.values():
            # Normalization has its statistics as options.
            if translated.weights:
                translated.set_weights(original.get_weights())

    def _layer(self, layer: Any, name: str) -> tf_keras.layers.Layer:
        if id(layer) not in self._translated:
            self._translated[id(layer)] = (layer, _translate_layer(layer, name))
        return self._translated[id(layer)][1]


def _untranslatable(model: Any) -> list[str]:
    """Lists everything that has no equal in tf_keras, all at once."""
    unknown = []
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer) or _is_augmentation(operation):
            continue
        if isinstance(operation, keras.Sequential | Functional):
            unknown += _untranslatable(graph_of(operation))
        elif isinstance(operation, keras.layers.Layer):
            unknown += _unknown_in_layer(operation)
        elif type(operation).__name__ not in _OPERATORS:
            unknown.append(f"{operation.name} (the operation {type(operation).__name__})")
    return unknown


def _is_augmentation(operation: Any) -> bool:
    kind = type(operation)
    return kind.__module__.startswith("keras.") and kind.__name__ in _AUGMENTATION


def _unknown_in_layer(layer: Any) -> list[str]:
    kind = type(layer).__name__
    if not type(layer).__module__.startswith("keras.") or kind not in _LAYERS:
        return [f"{layer.name} (the layer {kind})"]
    config = layer.get_config()
    unknown = [text for part in _inner_layers(layer).values() for text in _unknown_in_layer(part)]
    for key, value in config.items():
        if key.endswith("activation") and value is not None and value not in _ACTIVATIONS:
            unknown.append(f"{layer.name} ({key}={value!r})")
    _, ignored = _options(layer)
    return [*unknown, *(f"{layer.name} (the option {key}={value!r})" for key, value in ignored.items())]


def _translate_layer(layer: Any, name: str) -> tf_keras.layers.Layer:
    options, _ = _options(layer)
    options |= {
        key: _translate_layer(part, part.name.removeprefix("forward_")) for key, part in _inner_layers(layer).items()
    }
    if isinstance(layer, keras.layers.Normalization):
        options |= {"mean": _statistic(layer.mean), "variance": _statistic(layer.variance)}
    return getattr(tf_keras.layers, type(layer).__name__)(**{**options, "name": name})


def _inner_layers(layer: Any) -> dict[str, Any]:
    """Returns the layers that a wrapper was given, by the option that gave them."""
    if isinstance(layer, keras.layers.Bidirectional):
        given = layer.get_config()
        return {
            "layer": layer.forward_layer,
            **({"backward_layer": layer.backward_layer} if "backward_layer" in given else {}),
        }
    return {"layer": layer.layer} if isinstance(layer, keras.layers.Wrapper) else {}


def _statistic(values: Any) -> np.ndarray | float:
    """Returns an adapted mean or variance as tf_keras takes it: without the dimensions that are there to broadcast."""
    array = np.asarray(values)
    return array.reshape(-1) if array.size > 1 else float(array.item())


def _options(layer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns a layer's options in tf_keras' words, and those that it lacks and that are not at their defaults."""
    counterpart = getattr(tf_keras.layers, type(layer).__name__)
    known = {key for base in counterpart.__mro__ for key in _parameters(base)} | {"name", "trainable"}
    defaults = {
        key: value.default for base in reversed(type(layer).__mro__) for key, value in _parameters(base).items()
    }
    options, ignored = {}, {}
    for key, value in layer.get_config().items():
        if key.endswith("_initializer") or key in _DROPPED:
            continue
        renamed = _RENAMED.get(type(layer).__name__, {}).get(key, key)
        if renamed in known:
            options[renamed] = _plain(value)
        elif value is not None and value != defaults.get(key, value):
            ignored[key] = value
    return options, ignored


def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(vars(cls)["__init__"]).parameters if "__init__" in vars(cls) else {}


def _plain(value: Any) -> Any:
    """Drops the keys by which Keras 3 finds classes from a serialized object."""
    if isinstance(value, dict) and "class_name" in value:
        return {key: inner for key, inner in value.items() if key in ("class_name", "config")}
    return value
