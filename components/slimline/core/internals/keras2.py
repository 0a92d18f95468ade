"""The graph and the compilation of a tf_keras model, seen in tf_keras 2.21."""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
import tf_keras


def is_functional(model: Any) -> bool:
    """Returns whether a model is functional or Sequential: its layers are known, and how they are connected."""
    return bool(getattr(model, "_is_graph_network", False))


def nodes_in_order(model: tf_keras.Model) -> Iterator[Any]:
    """Yields the calls of layers that a functional model consists of, each after those that it needs."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from model._nodes_by_depth[depth]


def flat_inputs(model: tf_keras.Model, inputs: Any) -> Any:
    """Returns what a model is called with as a list, in the order of its inputs."""
    return model._flatten_to_reference_inputs(inputs)


def forget_outside_graph(model: tf_keras.Model) -> None:
    """Takes layers off a functional model that its graph does not use, as `model.tft_layer` of a TFX Trainer.

    Keras counts every layer that is an attribute among the model's layers and weights.
    """
    used = {id(node.layer) for node in nodes_in_order(model)} | {id(layer) for layer in model._input_layers}
    for name, value in list(vars(model).items()):
        if isinstance(value, tf_keras.layers.Layer) and id(value) not in used:
            delattr(model, name)
    model._self_tracked_trackables = [
        part
        for part in model._self_tracked_trackables
        if not isinstance(part, tf_keras.layers.Layer) or id(part) in used
    ]


def output_keys(model: tf_keras.Model) -> list[str]:
    """Returns the keys of a model that gives a dictionary, in the order of its outputs; empty for others."""
    given = getattr(model, "_nested_outputs", None)
    return sorted(given) if isinstance(given, dict) else []


def lookup_tables(layer: tf_keras.layers.Layer) -> list[Any]:
    """Returns the tables of words or numbers that a layer keeps, which are no variables."""
    owners = [layer, getattr(layer, "_lookup_layer", None)]
    return [table for owner in owners if (table := getattr(owner, "lookup_table", None)) is not None]


def num_calls(layer: tf_keras.layers.Layer) -> int:
    """Returns how often a layer is called in all models that it is part of."""
    return len(layer._inbound_nodes)


def num_consumers(layer: tf_keras.layers.Layer) -> int:
    """Returns how many calls of other layers take what a layer gives."""
    return len(layer._outbound_nodes)


def producers(layer: tf_keras.layers.Layer) -> list[tf_keras.layers.Layer]:
    """Returns the layers that give what a layer takes in its first call."""
    return list(tf.nest.flatten(layer._inbound_nodes[0].inbound_layers))


def compile_arguments(model: tf_keras.Model) -> Mapping[str, Any]:
    """Returns what a model was compiled with; empty when it was not."""
    return model._get_compile_args(user_metrics=False) if model._is_compiled else {}


class LazyLogsCallback(tf_keras.callbacks.Callback):
    """A callback whose logs stay tensors until it reads them: Keras would else copy all of each step to NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self._supports_tf_logs = True
