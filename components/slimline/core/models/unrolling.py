"""Unrolls recurrent layers: a loop becomes as many copies of its body as there are steps.

TensorFlow's converter calibrates what is unrolled, where it breaks at the loop.
"""

from typing import Any

import tf_keras

from slimline.core.models.loading import TrainedModel
from slimline.core.models.rebuilding import find_difference, rebuild

# Every step adds operations to the graph: longer sequences give files that are slow to load and large.
_MAX_STEPS = 64
_TOLERANCE = 1e-4
_RECURRENT = (tf_keras.layers.RNN, tf_keras.layers.Bidirectional)


def recurrent_layers(model: TrainedModel) -> list[str]:
    """Returns the names of a model's recurrent layers; none where layers are not known."""
    return [layer.name for layer in getattr(model, "layers", ()) if isinstance(layer, _RECURRENT)]


def unroll(model: TrainedModel) -> tf_keras.Model | None:
    """Returns a copy of a model whose recurrent layers are unrolled.

    None where there are none, where a sequence is long or of a free length, or where the copy's outputs differ.

    Args:
      model: Of any kind that `load_model` returns; it is not changed.
    """
    if not isinstance(model, tf_keras.Model) or not recurrent_layers(model):
        return None
    for layer in model.layers:
        if isinstance(layer, _RECURRENT):
            steps = layer.input_shape[1] if isinstance(layer.input_shape, tuple) else None
            if steps is None or steps > _MAX_STEPS:
                return None
    unrolled = rebuild(model, change=_unrolled)
    return None if find_difference(model, unrolled, tolerance=_TOLERANCE) else unrolled


def _unrolled(config: Any) -> Any:
    """Sets `unroll` in a layer's configuration, and in those of the layers inside it.

    Each gate gets a multiplication of its own: of a common one, split afterwards, the converter leaves the splits in
    float in about half of its runs.
    """
    if isinstance(config, list | tuple):
        return type(config)(_unrolled(item) for item in config)
    if not isinstance(config, dict):
        return config
    changed = {key: _unrolled(value) for key, value in config.items()}
    if "unroll" in changed:
        changed["unroll"] = True
    # Keras's own words: 1 is a multiplication for each gate, 2 a common one.
    if "implementation" in changed:
        changed["implementation"] = 1
    return changed
