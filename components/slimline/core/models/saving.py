"""Writes models where TFX looks for them, and exports them for conversion.

TFX keeps a model in the folder `Format-Serving` of its artifact. Pruner and Clusterer put a SavedModel there, like
Trainer does; Quantizer puts a lone file `tflite` there, which is the name that TFMA and Pusher know.
"""

import gzip
from collections.abc import Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from slimline.core.internals.keras2 import lookup_tables
from slimline.core.models.loading import SavedModelGraph, TrainedModel
from slimline.errors import ModelError
from slimline.names import file_names

_SIGNATURE = "serving_default"


def save_keras_model(model: tf_keras.Model, folder: Path) -> None:
    """Writes a model to `folder/Format-Serving` as a SavedModel that Keras can load again.

    Its one signature, `serving_default`, takes and gives tensors under the model's own names. Keras' traces of each
    single layer are left out: they take most of the time, and are for models without a configuration.

    Raises:
      ModelError: An input has a name that TensorFlow can't export.
    """
    signatures = {_SIGNATURE: _serving_function(model, model.output_names, batch_size=None)}
    model.save(folder / file_names.SERVING_FOLDER, save_format="tf", save_traces=False, signatures=signatures)


def write_tflite(content: bytes, folder: Path) -> Path:
    """Writes a `.tflite` file to `folder/Format-Serving/tflite` and returns its path."""
    path = folder / file_names.SERVING_FOLDER / file_names.TFLITE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read_tflite(folder: Path) -> bytes:
    """Reads the `.tflite` file of a `Model` artifact, or of a folder or file that holds it.

    Raises:
      ModelError: There is none.
    """
    candidates = [folder / file_names.SERVING_FOLDER / file_names.TFLITE, folder / file_names.TFLITE, folder]
    for path in candidates:
        if path.is_file():
            return path.read_bytes()
    raise ModelError(f"no file {candidates[0]}", "a model that a Quantizer wrote", "put a Quantizer before this step")


def gzip_size(content: bytes) -> int:
    """Returns the bytes of a file after gzip at level 9, which is about what its download weighs."""
    return len(gzip.compress(content, compresslevel=9, mtime=0))


def export_for_conversion(
    model: TrainedModel, output_names: Sequence[str], folder: Path, *, static_batch: bool = False
) -> str:
    """Writes a SavedModel whose one signature takes and gives tensors under the model's own names.

    A Trainer's serving signature may parse `tf.Example`s, which TFLite can't (tensorflow/tfx#94), and Keras' own export
    renames the outputs.

    Args:
      model: The model.
      output_names: Names for its outputs, in their order.
      folder: Where to write.
      static_batch: Whether to fix the batch to 1.

    Returns:
      The signature's name.

    Raises:
      ModelError: An input has a name that TensorFlow can't export, or no fixed size where one is asked for.
    """
    if static_batch:
        _require_fixed_sizes(model)
    # TFLite has recurrent layers for a fixed batch only; other models keep theirs open.
    function = _serving_function(model, output_names, batch_size=1 if static_batch or _is_recurrent(model) else None)
    module = tf.Module()
    # The variables that are used, not the model: Keras would trace and write each layer, which takes many times longer.
    module.captured = [*function.variables, *_tables(model)]
    tf.saved_model.save(module, str(folder), signatures={_SIGNATURE: function})
    return _SIGNATURE


def _tables(model: TrainedModel) -> list[Any]:
    if isinstance(model, SavedModelGraph):
        return model.tables
    layers = [part for part in model.submodules if isinstance(part, tf_keras.layers.Layer)]
    return [table for layer in layers for table in lookup_tables(layer)]


def _serving_function(model: TrainedModel, output_names: Sequence[str], batch_size: int | None) -> Any:
    """Returns a model as a function from tensors by input name to tensors by output name."""
    unfit = [name for name in model.input_names if iskeyword(name) or name == "self"]
    if unfit:
        raise ModelError(
            f"an input named {unfit[0]!r}, which is a word of Python",
            "another name: TensorFlow hands inputs over as arguments",
            "rename the layer",
        )
    specs = [
        tf.TensorSpec([_batch(model, tensor) or batch_size, *tensor.shape[1:]], tensor.dtype, name=name)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    ]

    @tf.function(input_signature=[specs])
    def serve(inputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        outputs = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
        return dict(zip(output_names, tf.nest.flatten(outputs), strict=True))

    return serve.get_concrete_function()


def _batch(model: TrainedModel, tensor: Any) -> int | None:
    """Returns the batch that a file has to have: a function is traced for its own, layers take one example too."""
    if tensor.shape[0] is None or isinstance(model, SavedModelGraph):
        batch: int | None = tensor.shape[0]
        return batch
    is_stateful = any(getattr(layer, "stateful", False) for layer in model.layers)
    return int(tensor.shape[0]) if is_stateful else 1


def _require_fixed_sizes(model: TrainedModel) -> None:
    for name, tensor in zip(model.input_names, model.inputs, strict=True):
        if None in tensor.shape[1:] or _batch(model, tensor) not in (None, 1):
            raise ModelError(
                f"the input {name!r} of the shape {tuple(tensor.shape)}",
                "a fixed size in every dimension, and a batch of 1: so accelerators and microcontrollers want it",
                "give the Input layer its full shape or input_shape=… for it, or leave static_batch out",
            )


def _is_recurrent(model: TrainedModel) -> bool:
    recurrent = (tf_keras.layers.RNN, tf_keras.layers.Bidirectional)
    return any(isinstance(part, recurrent) for part in getattr(model, "submodules", ()))
