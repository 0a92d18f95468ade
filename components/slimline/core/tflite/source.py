"""A `.tflite` file in the place of a trained model: what a float file from PyTorch, JAX or a colleague is.

It can be the original that candidates are compared with, and what litert-quantizer rewrites. It runs in a process of
its own, as every file does.
"""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from slimline.core.isolation import IsolatedError, IsolatedProcess
from slimline.core.models.loading import SavedModelGraph, TrainedModel, load_model
from slimline.core.tflite.flatbuffer import signature_ends
from slimline.core.tflite.model_server import load, predict_all
from slimline.core.tflite.signature import with_signature
from slimline.errors import ModelError
from slimline.names import file_names

_TIME_LIMIT_S = 600
_IDENTIFIER = b"TFL3"


def open_model(path: Path, custom_objects: str | None = None) -> TrainedModel:
    """Loads a trained model, or a `.tflite` file that stands for one.

    Args:
      path: As for `load_model`, or a `.tflite` file.
      custom_objects: As for `load_model`.

    Raises:
      ModelError: There is no model, or it can't be loaded.
      ConfigError: The module with the user's own layers can't be imported.
    """
    return TFLiteSource(path) if is_tflite(path) else load_model(path, custom_objects)


def is_tflite(path: Path) -> bool:
    """Tells whether a path is a file in TFLite's format, by its identifier, or by its name where it has another."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(8)
    return start[4:] == _IDENTIFIER or path.suffix == ".tflite" or path.name == file_names.TFLITE


class TFLiteSource(SavedModelGraph):
    """A file that can be called, whose layers are not known.

    Args:
      path: The file.

    Attributes:
      original: Bytes of the file.
      content: The same with a signature.
      has_own_names: Whether the file names its inputs and outputs in a signature.

    Raises:
      ModelError: LiteRT can't load it.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.reason = "a .tflite file has operations, and no layers"
        self.original = path.read_bytes()
        self._process = IsolatedProcess(None)
        weakref.finalize(self, self._process.close)
        try:
            self._process.call(load, self.original, str(path), time_limit_s=_TIME_LIMIT_S)
        except (IsolatedError, RuntimeError) as error:
            raise ModelError(
                f"{path}, which LiteRT could not load: {error}", "a .tflite file", "convert the model again"
            ) from error
        self.content = with_signature(self.original)
        self.has_own_names = self.content == self.original
        given, made = signature_ends(self.content)
        self.input_names = [end.name for end in given]
        self.inputs = [_spec(end) for end in given]
        self.output_names = [end.name for end in made]
        self.outputs = [_spec(end) for end in made]

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Returns the outputs, a list when there are several; real values, whatever types the file has."""
        listed = [inputs[name] for name in self.input_names] if isinstance(inputs, Mapping) else tf.nest.flatten(inputs)
        outputs = tf.nest.flatten(tf.numpy_function(self._predict, listed, [tf.float32] * len(self.outputs)))
        for tensor, spec in zip(outputs, self.outputs, strict=True):
            tensor.set_shape(spec.shape)
        return outputs[0] if len(outputs) == 1 else outputs

    def _predict(self, *listed: np.ndarray) -> list[np.ndarray]:
        values = dict(zip(self.input_names, listed, strict=True))
        found: Mapping[str, np.ndarray] = self._process.call(predict_all, values, time_limit_s=_TIME_LIMIT_S)
        return [found[name] for name in self.output_names]


def _spec(end: Any) -> tf.TensorSpec:
    # What is quantized takes and gives real values.
    dtype = "float32" if end.scale is not None else end.dtype
    return tf.TensorSpec([None, *(None if size < 0 else size for size in end.shape[1:])], dtype, name=end.name)
