"""Finds and loads what a Trainer exported, in any of the forms in which Keras writes models.

A model whose layers can be told apart is loaded as a tf_keras model: SavedModel, `.h5` or `.keras`, the latter two
also from Keras 3, through a bridge. Of any other SavedModel only the computation is known: it can be quantized after
its training, but not pruned, clustered or trained further.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import keras
import tensorflow as tf
import tf_keras
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from slimline.core.internals.keras2 import forget_outside_graph, is_functional
from slimline.core.models.keras3 import load_keras3, to_tf_keras
from slimline.core.user_code import load_custom_objects
from slimline.errors import ModelError
from slimline.names import file_names

_KERAS_FILES = ("*.keras", "*.h5")
_KERAS_MODELS = ("_tf_keras_model", "_tf_keras_network", "_tf_keras_sequential")
_REMEDY = "export a functional or Sequential model: `model.save(fn_args.serving_model_dir)` of tf_keras"
WAY_OUT = (
    "write the Keras model beside it, which is then taken instead: "
    "`model.save(f'{fn_args.serving_model_dir}/model.keras')`"
)
# What TensorFlow, Keras, zip and HDF5 raise at files that are cut off or are something else.
_UNREADABLE = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError, ImportError),
    *(tf.errors.OpError, zipfile.BadZipFile, zlib.error, EOFError),
)


class SavedModelGraph:
    """A SavedModel without Keras layers: an exported function that can only be called.

    It has the attributes of a Keras model which quantization and evaluation read.

    Args:
      path: Folder of the SavedModel.
      reason: Why its layers are not known.

    Attributes:
      name: The folder's name.
      reason: As given.
      inputs: Shape and dtype of each input, the batch first.
      input_names: Names of the inputs.
      outputs: Shape and dtype of each output.
      output_names: Names of the outputs.

    Raises:
      ModelError: It can't be loaded, or has no signature that takes tensors.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.name = path.name
        self.reason = reason
        # Keeps the variables alive that the signature uses.
        try:
            self._model = tf.saved_model.load(str(path))
        except _UNREADABLE as error:
            raise ModelError(
                f"{path} could not be loaded: {error}", "a SavedModel", "export the model again"
            ) from error
        self._function = _tensor_signature(self._model.signatures, path)
        inputs = self._function.structured_input_signature[1]
        self.input_names = list(inputs)
        self.inputs = list(inputs.values())
        self.output_names = list(self._function.structured_outputs)
        self.outputs = list(self._function.structured_outputs.values())

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Returns the outputs, a list when there are several. Training is not possible: the argument says nothing."""
        listed = [inputs[name] for name in self.input_names] if isinstance(inputs, Mapping) else tf.nest.flatten(inputs)
        tensors = {
            name: tf.cast(value, spec.dtype)
            for name, value, spec in zip(self.input_names, listed, self.inputs, strict=True)
        }
        outputs = self._run(tensors)
        values = [outputs[name] for name in self.output_names]
        return values[0] if len(values) == 1 else values

    @property
    def tables(self) -> list[Any]:
        """What the function uses beside its variables, as hash tables: it lives in the whole model."""
        resources = [tensor for tensor in self._function.captured_inputs if tensor.dtype == tf.resource]
        return [self._model] if len(resources) > len(self._function.variables) else []

    @property
    def fixed_batch(self) -> int | None:
        """Number of examples that it was exported for; None when its batch is open."""
        return next((spec.shape[0] for spec in self.inputs if len(spec.shape) and spec.shape[0] is not None), None)

    def _run(self, tensors: dict[str, tf.Tensor]) -> Any:
        """Calls the function; one of a fixed batch on so many examples at a time, the last ones filled up."""
        size = self.fixed_batch
        first = next(iter(tensors.values()))
        if size is None or first.shape[0] == size:
            return self._function(**tensors)
        number = tf.shape(first)[0]
        rows = tf.reshape(tf.minimum(tf.range((number + size - 1) // size * size), number - 1), [-1, size])
        signature = {
            name: tf.TensorSpec(spec.shape, spec.dtype) for name, spec in self._function.structured_outputs.items()
        }
        outputs = tf.map_fn(
            lambda row: dict(self._function(**{name: tf.gather(tensor, row) for name, tensor in tensors.items()})),
            rows,
            fn_output_signature=signature,
        )
        return {name: tf.reshape(value, [-1, *value.shape[2:]])[:number] for name, value in outputs.items()}


TrainedModel: TypeAlias = tf_keras.Model | SavedModelGraph


@dataclass(frozen=True)
class _Found:
    path: Path
    kind: str


def load_model(folder: Path, custom_objects: str | None = None) -> TrainedModel:
    """Loads the model of a `Model` artifact, whatever form it has.

    Args:
      folder: The artifact's folder, or a folder or file that holds the model itself.
      custom_objects: Dotted path of a module with the layers and functions of the user's own.

    Returns:
      A functional or Sequential tf_keras model, compiled as it was saved; or a `SavedModelGraph` where layers are not
      known, as of a subclassed model.

    Raises:
      ModelError: There is no model, or it can't be loaded.
      ConfigError: The module can't be imported.
    """
    objects = load_custom_objects(custom_objects)
    found = _find(folder)
    if found.kind == "keras3":
        return load_keras3(found.path, objects)
    if found.kind == "graph":
        return SavedModelGraph(found.path, "the SavedModel has no Keras configuration, as a Keras 3 export() has none")
    try:
        with tf_keras.utils.custom_object_scope(dict(objects)):
            model = tf_keras.models.load_model(found.path)
    except _UNREADABLE as error:
        raise ModelError(
            f"{found.path} could not be loaded: {error}",
            "a model that tf_keras can load",
            f"{_REMEDY}. Layers of your own need custom_objects='package.module'",
        ) from error
    return _with_known_layers(model, found)


def load_keras_model(folder: Path, custom_objects: str | None = None) -> tf_keras.Model:
    """Loads a model as one whose layers are known, for pruning, clustering and training.

    Raises:
      ModelError: There is no model, it can't be loaded, or its layers are not known; the message says the way out.
      ConfigError: The module with the user's own layers can't be imported.
    """
    model = load_model(folder, custom_objects)
    if isinstance(model, SavedModelGraph):
        raise ModelError(f"a model without layers in {folder}: {model.reason}", "a Keras model", WAY_OUT)
    return model


def as_tf_keras(model: Any) -> Any:
    """Returns a model of Keras 3 that is in memory as an equal one of tf_keras, and any other as it is.

    Raises:
      ModelError: It has parts that tf_keras has not.
    """
    return to_tf_keras(model) if isinstance(model, keras.Model) else model


def _with_known_layers(model: Any, found: _Found) -> TrainedModel:
    is_graph_network = is_functional(model)
    if is_graph_network:
        forget_outside_graph(model)
    if is_graph_network and not _revived_layers(model):
        return model
    if isinstance(model, tf_keras.Sequential) and not model.built:
        raise ModelError(
            f"{found.path} is a Sequential model without an input shape", "a built model", "add an Input layer"
        )
    if is_graph_network:
        reason = f"the classes of {', '.join(_revived_layers(model))} are not known: give custom_objects"
    else:
        reason = "the model is subclassed: its layers are called by code that can't be taken apart"
    if found.kind == "saved_model":
        return SavedModelGraph(found.path, reason)
    raise ModelError(f"{found.path}: {reason}", "a functional or Sequential model", _REMEDY)


def _revived_layers(model: tf_keras.Model) -> list[str]:
    """Returns names of layers whose class was not found: Keras revives them without their code."""
    return [layer.name for layer in model.layers if type(layer).__module__.endswith("saved_model.load")]


def _find(folder: Path) -> _Found:
    serving = folder / file_names.SERVING_FOLDER
    place = serving if serving.is_dir() else folder
    if not place.exists():
        raise ModelError(f"no folder {place}", "a model", "check the path, and that the Trainer wrote a model")
    if place.is_file():
        return _Found(place, _file_kind(place))
    if not place.is_dir():
        raise ModelError(f"{place}, which is no file and no folder", "a model", "check the path")
    files = sorted(path for pattern in _KERAS_FILES for path in place.glob(pattern) if path.is_file())
    if len(files) == 1:
        return _Found(files[0], _file_kind(files[0]))
    if not files and (place / "saved_model.pb").is_file():
        return _Found(place, "saved_model" if _has_keras_metadata(place) else "graph")
    listing = ", ".join(sorted(path.name for path in place.iterdir())) or "nothing"
    raise ModelError(f"{place} holds {listing}", "one SavedModel, .keras or .h5 file", _REMEDY)


def _has_keras_metadata(place: Path) -> bool:
    """Returns whether a SavedModel has the configuration of its layers: before TensorFlow 2.5 it lay in the graph."""
    if (place / "keras_metadata.pb").exists():
        return True
    try:
        content = saved_model_pb2.SavedModel.FromString((place / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ModelError(f"{place} could not be loaded: {error}", "a SavedModel", "export the model again") from error
    return any(
        node.user_object.identifier.startswith(_KERAS_MODELS) and node.user_object.metadata
        for graph in content.meta_graphs
        for node in graph.object_graph_def.nodes
    )


def _file_kind(path: Path) -> str:
    """Tells by the version inside of a file whether Keras 2 or Keras 3 wrote it."""
    try:
        return _version_kind(path)
    except _UNREADABLE as error:
        raise ModelError(f"{path} could not be read: {error}", "a model that Keras saved", _REMEDY) from error


def _version_kind(path: Path) -> str:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "metadata.json" not in archive.namelist():
                raise ModelError(f"{path} is a zip file, but no Keras model", "a .keras file", _REMEDY)
            version = json.loads(archive.read("metadata.json")).get("keras_version", "")
    elif h5py.is_hdf5(path):
        with h5py.File(path) as file:
            version = file.attrs.get("keras_version", "")
    else:
        raise ModelError(f"{path} is neither a .keras nor an .h5 file", "a model that Keras saved", _REMEDY)
    return "keras3" if str(version).startswith("3") else "keras2"


def _tensor_signature(signatures: Mapping[str, Any], path: Path) -> Any:
    """Returns the signature that takes tensors rather than serialized tf.Examples."""
    taking_tensors = [
        name
        for name, function in signatures.items()
        if all(spec.dtype != tf.string for spec in function.structured_input_signature[1].values())
    ]
    if "serving_default" in taking_tensors or len(taking_tensors) == 1:
        return signatures["serving_default" if "serving_default" in taking_tensors else taking_tensors[0]]
    raise ModelError(
        f"{path} with the signatures {', '.join(signatures) or 'none'}, of which {len(taking_tensors)} take tensors",
        "a signature serving_default that takes tensors",
        f"{WAY_OUT}. Or add such a signature to the export: TFLite can't parse tf.Examples",
    )
