"""The graph of a Keras 3 model, seen in Keras 3.15."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras.src.models.functional import Functional

__all__ = ["Functional", "call_with_list", "graph_of", "output_keys", "producer_of", "run_through_graph"]


def graph_of(model: Any) -> Any:
    """Returns the graph of a functional or Sequential model."""
    return model._functional if isinstance(model, keras.Sequential) else model


def producer_of(tensor: Any) -> Any:
    """Returns the operation that gives a symbolic tensor."""
    return tensor._keras_history.operation


def run_through_graph(model: Any, inputs: Sequence[Any], translate: Callable[[Any], Callable[..., Any]]) -> Any:
    """Runs a model on other tensors, with another function in the place of each operation."""
    return model._run_through_graph(list(inputs), operation_fn=translate)


def call_with_list(model: Any, inputs: Sequence[Any]) -> list[Any]:
    """Calls a model with a list in the order of its inputs, whatever it wants itself; returns its outputs in order."""
    packed = keras.tree.pack_sequence_as(graph_of(model)._inputs_struct, list(inputs))
    return list(keras.tree.flatten(model(packed, training=False)))


def output_keys(model: Any) -> list[str]:
    """Returns the keys of a model that gives a dictionary, in the order of its outputs; empty for others."""
    given = graph_of(model)._outputs_struct
    return sorted(given) if isinstance(given, dict) else []
