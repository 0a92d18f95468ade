"""Gives a model inputs of a fixed size where its own are open: devices want all sizes known."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from slimline.core.models.loading import SavedModelGraph, TrainedModel
from slimline.core.models.rebuilding import rebuild
from slimline.errors import ConfigError, near_miss


def with_input_shapes(model: TrainedModel, shapes: Mapping[str, Sequence[int]]) -> TrainedModel:
    """Returns a model whose inputs have the given shapes.

    Args:
      model: Of any kind that `load_model` returns; a Keras model is not changed, of a graph only the inputs are.
      shapes: By input name, without the batch; other inputs stay as they are.

    Raises:
      ConfigError: There is no such input, or it does not take that shape.
      ModelError: The model can't be rebuilt with it.
    """
    if not shapes:
        return model
    for name, shape in shapes.items():
        _require_fitting(model, name, shape)
    if isinstance(model, tf_keras.Model):
        return rebuild(model, shapes=shapes)
    assert isinstance(model, SavedModelGraph)
    model.inputs = [
        tf.TensorSpec([spec.shape[0], *shapes.get(name, spec.shape[1:])], spec.dtype, name=name)
        for name, spec in zip(model.input_names, model.inputs, strict=True)
    ]
    return model


def _require_fitting(model: TrainedModel, name: str, shape: Sequence[int]) -> None:
    own: Mapping[str, Any] = dict(zip(model.input_names, model.inputs, strict=True))
    if name not in own:
        raise ConfigError(
            f"input_shape for {name!r}, which is no input of the model",
            f"one of {', '.join(own)}",
            f"correct its name.{near_miss(name, list(own))}",
        )
    if not own[name].shape[1:].is_compatible_with(list(shape)):
        raise ConfigError(
            f"input_shape {tuple(shape)} for the input {name!r} of the shape {tuple(own[name].shape[1:])}",
            "the same number of dimensions, and the same sizes where they are fixed",
            "correct input_shape; the batch is not part of it",
        )
