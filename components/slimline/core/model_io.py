"""Finds and loads the models that a Trainer exports, and writes models where TFX looks for them.

TFX keeps a model in the folder `Format-Serving` of its artifact. Pruner and Clusterer put a SavedModel there, like
Trainer does; Quantizer puts a lone file `tflite` there, which is the name that TFMA and Pusher know.
"""

import gzip
import json
import zipfile
from pathlib import Path

import tensorflow as tf
import tf_keras

from slimline import names
from slimline.errors import ModelError

_KERAS_FILES = ("*.keras", "*.h5")
_REMEDY = "export a functional or Sequential tf_keras model: `model.save(fn_args.serving_model_dir)`"


def load_keras_model(folder: Path) -> tf_keras.Model:
    """Loads the functional or Sequential Keras model of a `Model` artifact.

    Args:
      folder: The artifact's folder, or a folder or file that holds the model itself.

    Returns:
      The model with its layers, compiled as it was saved.

    Raises:
      ModelError: There is no model, or none that can be taken apart into layers.
    """
    path = _find_keras(folder)
    try:
        model = tf_keras.models.load_model(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} could not be loaded: {error}", "a model that tf_keras can load", _REMEDY) from error
    if not isinstance(model, tf_keras.Model) or not hasattr(model, "get_config"):
        raise ModelError(f"{path} holds a SavedModel without Keras layers", "a Keras model", _REMEDY)
    require_layers(model, str(path))
    return model


def require_layers(model: tf_keras.Model, name: str) -> None:
    """Checks that a model is functional or Sequential, built, and not nested.

    Raises:
      ModelError: It is not.
    """
    if not isinstance(model, tf_keras.Sequential) and not model._is_graph_network:
        raise ModelError(f"{name} is a subclassed model", "a functional or Sequential model", _REMEDY)
    if not model.built or not model.inputs:
        raise ModelError(f"{name} is a Sequential model without an input shape", "a built model", "add an Input layer")
    nested = [layer.name for layer in model.layers if isinstance(layer, tf_keras.Model)]
    if nested:
        raise ModelError(
            f"{name} holds the nested model(s) {', '.join(nested)}",
            "a model whose layers all lie on one level",
            "call the inner model's layers on the outer model's tensors instead of the inner model itself",
        )


def _find_keras(folder: Path) -> Path:
    serving = folder / names.SERVING_FOLDER
    place = serving if serving.is_dir() else folder
    if not place.exists():
        raise ModelError(f"no folder {place}", "a model", "check the path, and that the Trainer wrote a model")
    if place.is_file():
        _refuse_keras_3(place)
        return place
    if (place / "saved_model.pb").exists():
        if not (place / "keras_metadata.pb").exists():
            raise ModelError(f"{place} is a SavedModel without Keras configuration", "a Keras model", _REMEDY)
        return place
    files = sorted(path for pattern in _KERAS_FILES for path in place.glob(pattern))
    if len(files) != 1:
        listing = ", ".join(sorted(path.name for path in place.iterdir())) or "nothing"
        raise ModelError(f"{place} holds {listing}", "one SavedModel, .keras or .h5 file", _REMEDY)
    _refuse_keras_3(files[0])
    return files[0]


def _refuse_keras_3(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if "metadata.json" not in archive.namelist():
            raise ModelError(f"{path} is a zip file, but no Keras model", "a .keras file", _REMEDY)
        version = str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    if version.startswith("3"):
        raise ModelError(f"{path} was saved by Keras {version}", "a model of tf_keras (Keras 2)", _REMEDY)


def save_keras_model(model: tf_keras.Model, folder: Path) -> None:
    """Writes a model to `folder/Format-Serving` as a SavedModel that Keras can load again."""
    model.save(folder / names.SERVING_FOLDER, save_format="tf")


def copy_model(model: tf_keras.Model) -> tf_keras.Model:
    """Returns an equal model with variables of its own: TFMOT changes the layers it is given."""
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def write_tflite(content: bytes, folder: Path) -> Path:
    """Writes a `.tflite` file to `folder/Format-Serving/tflite` and returns its path."""
    path = folder / names.SERVING_FOLDER / names.TFLITE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read_tflite(folder: Path) -> bytes:
    """Reads the `.tflite` file of a `Model` artifact, or of a folder or file that holds it.

    Raises:
      ModelError: There is none.
    """
    candidates = [folder / names.SERVING_FOLDER / names.TFLITE_FILE, folder / names.TFLITE_FILE, folder]
    for path in candidates:
        if path.is_file():
            return path.read_bytes()
    raise ModelError(f"no file {candidates[0]}", "a model that a Quantizer wrote", "put a Quantizer before this step")


def gzip_size(content: bytes) -> int:
    """Returns the bytes of a file after gzip at level 9, which is about what its download weighs."""
    return len(gzip.compress(content, compresslevel=9, mtime=0))


def export_for_conversion(model: tf_keras.Model, folder: Path) -> str:
    """Writes a SavedModel whose one signature takes and gives tensors under the model's own names.

    A Trainer's serving signature may parse `tf.Example`s, which TFLite can't (tensorflow/tfx#94), and Keras' own export
    renames the outputs.

    Returns:
      The signature's name.
    """
    module = tf.Module()
    module.model = model
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    ]

    @tf.function(input_signature=[specs])
    def serve(inputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        outputs = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
        listed = outputs if isinstance(outputs, list | tuple) else [outputs]
        return dict(zip(model.output_names, listed, strict=True))

    signature = "serving_default"
    tf.saved_model.save(module, str(folder), signatures={signature: serve.get_concrete_function()})
    return signature
