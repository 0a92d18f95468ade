"""Splits a model into what prepares its inputs, for the app, and the rest, for the device.

TFLite has no operations for text, and few for tables: people do that part outside of the file.
"""

from dataclasses import dataclass

import tensorflow as tf
import tf_keras

from slimline.core.internals.keras2 import nodes_in_order
from slimline.errors import ModelError

PREPROCESSING_LAYERS = (
    tf_keras.layers.StringLookup,
    tf_keras.layers.IntegerLookup,
    tf_keras.layers.TextVectorization,
    tf_keras.layers.Discretization,
    tf_keras.layers.CategoryEncoding,
    tf_keras.layers.Hashing,
    tf_keras.layers.HashedCrossing,
)


@dataclass(frozen=True)
class SplitModel:
    """A model in two parts: `core` of what `preprocessing` gives is the model.

    Attributes:
      preprocessing: Takes the model's inputs, and gives a list of the core's in their order.
      core: Takes what has been prepared, and gives the model's outputs; it is to be pruned and quantized.
    """

    preprocessing: tf_keras.Model
    core: tf_keras.Model


def preprocessing_layers(model: object) -> list[str]:
    """Returns the names of a Keras model's layers that look up, split or encode; none for a graph."""
    layers = model.layers if isinstance(model, tf_keras.Model) else []
    return [layer.name for layer in layers if isinstance(layer, PREPROCESSING_LAYERS)]


def split_preprocessing(model: tf_keras.Model) -> SplitModel:
    """Cuts a model behind its last layers that look up, split or encode.

    Args:
      model: Functional or Sequential, not nested; both parts share its weights.

    Raises:
      ModelError: It has no such layer.

    Example:
      >>> age = tf_keras.Input((1,), name="age")
      >>> encoded = tf_keras.layers.CategoryEncoding(3)(tf_keras.layers.Discretization([20.0, 40.0])(age))
      >>> model = tf_keras.Model(age, tf_keras.layers.Dense(1, name="score")(encoded))
      >>> parts = split_preprocessing(model)
      >>> [layer.name for layer in parts.core.layers if layer.weights]
      ['score']
    """
    nodes = list(nodes_in_order(model))
    needed: set[str] = set()
    for node in reversed(nodes):
        if isinstance(node.layer, PREPROCESSING_LAYERS) or needed.intersection(map(str, node.flat_output_ids)):
            needed.update(map(str, node.flat_input_ids))
    if not needed:
        raise ModelError(
            f"model {model.name!r} without a layer that looks up, splits or encodes",
            "a layer as StringLookup or CategoryEncoding",
            "quantize it as it is",
        )
    before = [
        node
        for node in nodes
        if isinstance(node.layer, PREPROCESSING_LAYERS) or needed.intersection(map(str, node.flat_output_ids))
    ]
    inside = {id(node) for node in before}
    consumed = {str(key) for node in nodes if id(node) not in inside for key in node.flat_input_ids}
    cut = [
        tensor
        for node in nodes
        if id(node) in inside or node.is_input
        for tensor in tf.nest.flatten(node.outputs)
        if str(id(tensor)) in consumed
    ]
    return SplitModel(tf_keras.Model(model.inputs, cut), tf_keras.Model(cut, model.outputs))
