import importlib
import io
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models.loading import SavedModelGraph, load_keras_model, load_model
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.schemes import CALIBRATED_SCHEMES, SCHEMES
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ModelError
from tests import zoo

OWN = """
import tf_keras

class Scaled(tf_keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(name="factor", shape=shape[-1:])

    def call(self, values):
        return values * self.factor
"""


def serving(folder):
    path = folder / "Format-Serving"
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize(
    ("library", "file"),
    [(tf_keras, "model.keras"), (tf_keras, "model.h5"), (tf_keras, ""), (keras, "model.keras"), (keras, "model.h5")],
)
def test_every_form_of_a_keras_model_is_loaded(library, file, tmp_path):
    specimen = zoo.cnn(library)
    specimen.model.save(serving(tmp_path) / file)
    wanted = np.asarray(specimen.model(specimen.inputs["image"]))
    for place in (tmp_path, serving(tmp_path), serving(tmp_path) / file):
        loaded = load_keras_model(place)
        np.testing.assert_allclose(loaded(specimen.inputs["image"]), wanted, atol=1e-4)
    assert loaded.loss == "sparse_categorical_crossentropy" or callable(loaded.loss)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What `export()` of Keras 3 writes, and the model."""
    folder = tmp_path_factory.mktemp("exported")
    specimen = zoo.cnn(keras)
    specimen.model.export(serving(folder))
    return folder, specimen


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_exported_folder_is_quantized_after_its_training(scheme, exported):
    folder, specimen = exported
    graph = load_model(folder)
    assert isinstance(graph, SavedModelGraph)
    images = specimen.inputs["image"]
    np.testing.assert_allclose(graph(images), np.asarray(specimen.model(images)), atol=1e-6)
    (name,) = graph.input_names

    def records():
        return ({name: image[np.newaxis]} for image in images)

    content = quantize(graph, QuantizationConfig(scheme=scheme), records if scheme in CALIBRATED_SCHEMES else None)
    (scores,) = TFLiteModel(content, scheme).predict({name: images}).values()
    np.testing.assert_allclose(scores, np.asarray(specimen.model(images)), atol=0.05)


def test_an_exported_folder_is_refused_for_training_with_the_way_out(exported):
    with pytest.raises(ModelError, match="no Keras configuration") as refused:
        load_keras_model(exported[0])
    assert "model.keras" in refused.value.remedy


def test_a_keras_file_beside_an_export_is_taken_instead(exported, tmp_path):
    _, specimen = exported
    specimen.model.export(serving(tmp_path))
    specimen.model.save(serving(tmp_path) / "model.keras")
    assert load_keras_model(tmp_path).output_names == ["scores"]


class Subclassed(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = tf_keras.layers.Dense(2)

    def call(self, values):
        return self.dense(values)


def test_a_subclassed_model_is_known_by_its_computation_alone(tmp_path):
    model, probe = Subclassed(), np.ones((3, 4), np.float32)
    wanted = model(probe)
    model.save(serving(tmp_path), save_format="tf")
    graph = load_model(tmp_path)
    assert isinstance(graph, SavedModelGraph)
    np.testing.assert_allclose(graph(probe), wanted, atol=1e-6)
    with pytest.raises(ModelError, match="the model is subclassed") as refused:
        load_keras_model(tmp_path)
    assert "model.keras" in refused.value.remedy


def test_a_saved_function_is_called_with_its_inputs_by_name_or_in_its_order(tmp_path):
    module = tf.Module()
    module.weights = tf.Variable([[1.0], [2.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="left"), tf.TensorSpec([None, 1], name="right")])
    def serve(left, right):
        return {"product": left @ module.weights, "sum": right + 1}

    tf.saved_model.save(module, str(serving(tmp_path)), signatures={"serving_default": serve})
    graph = load_model(tmp_path)
    assert isinstance(graph, SavedModelGraph)
    assert (set(graph.input_names), set(graph.output_names)) == ({"left", "right"}, {"product", "sum"})
    given = {"left": np.ones((3, 2)), "right": np.zeros((3, 1))}
    for inputs in (given, [given[name] for name in graph.input_names]):
        outputs = dict(zip(graph.output_names, graph(inputs), strict=True))
        assert outputs["product"].numpy().tolist() == [[3.0]] * 3
        assert outputs["sum"].numpy().tolist() == [[1.0]] * 3


@tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
def parse(examples):
    return {"y": tf.strings.length(examples)}


@tf.function(input_signature=[tf.TensorSpec([None, 1], name="x")])
def double(x):
    return {"y": 2 * x}


@tf.function(input_signature=[tf.TensorSpec([None, 1], name="x")])
def triple(x):
    return {"y": 3 * x}


@pytest.mark.parametrize(
    ("signatures", "result"),
    [
        ({"serving_default": parse, "raw": triple}, 3.0),
        ({"serving_default": double, "raw": triple}, 2.0),
        ({"serving_default": parse}, "of which 0 take tensors"),
        ({"one": double, "two": triple}, "of which 2 take tensors"),
        ({}, "the signatures none"),
    ],
)
def test_the_signature_that_takes_tensors_is_used(signatures, result, tmp_path):
    tf.saved_model.save(tf.Module(), str(serving(tmp_path)), signatures=signatures or None)
    if isinstance(result, float):
        assert load_model(tmp_path)(np.ones((1, 1))).numpy().item() == result
        return
    with pytest.raises(ModelError, match=result):
        load_model(tmp_path)


def test_a_keras_model_whose_signature_parses_examples_is_loaded_by_its_layers(tmp_path):
    specimen = zoo.cnn()
    specimen.model.save(serving(tmp_path), save_format="tf", signatures={"serving_default": parse})
    assert load_keras_model(tmp_path).output_names == ["scores"]


@pytest.fixture
def _forget_own_layers():
    # Keras' own optimizers are registered in the same place.
    known = dict(tf_keras.utils.get_custom_objects())
    yield
    tf_keras.utils.get_custom_objects().clear()
    tf_keras.utils.get_custom_objects().update(known)


@pytest.mark.usefixtures("_forget_own_layers")
@pytest.mark.parametrize("file", ["model.keras", "model.h5", ""])
def test_layers_of_ones_own_need_their_module(file, tmp_path, monkeypatch):
    (tmp_path / "own_layers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    scaled = importlib.import_module("own_layers").Scaled(name="scaled")
    given = tf_keras.layers.Input((4,), name="given")
    model = tf_keras.Model(given, scaled(given))
    model.save(serving(tmp_path) / file)
    with pytest.raises(ModelError, match=r"could not be loaded|the classes of scaled are not known") as refused:
        load_keras_model(tmp_path)
    if file:
        assert "custom_objects" in refused.value.remedy
    else:
        assert isinstance(load_model(tmp_path), SavedModelGraph)
    with pytest.raises(ConfigError, match="no module 'own_layer'"):
        load_keras_model(tmp_path, "own_layer")
    loaded = load_keras_model(tmp_path, "own_layers")
    probe = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(loaded(probe), model(probe))


def test_a_sequential_model_without_an_input_shape_is_refused(tmp_path):
    tf_keras.Sequential([tf_keras.layers.Dense(2)]).save(serving(tmp_path) / "model.keras")
    with pytest.raises(ModelError, match="Sequential model without an input shape"):
        load_model(tmp_path)


def zipped(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.json", content)
    return stream.getvalue()


def hdf5():
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["weights"] = [1.0]
    return stream.getvalue()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, "holds nothing"),
        ({"a.keras": b"", "b.h5": b""}, "holds a.keras, b.h5"),
        ({"a.keras": b"garbage"}, "neither a .keras nor an .h5 file"),
        ({"a.txt": b""}, "holds a.txt"),
        ({"a.keras": zipped(other="{}")}, "a zip file, but no Keras model"),
        ({"a.keras": zipped(metadata='{"keras_version": "3.10.0"}')}, "saved by Keras 3, could not be loaded"),
        ({"a.keras": zipped(metadata='{"keras_version": "2.21.0"}')}, "a.keras could not be loaded"),
        ({"a.h5": hdf5()}, "No model config found"),
    ],
)
def test_what_is_no_model_is_refused(files, found, tmp_path):
    for name, content in files.items():
        (serving(tmp_path) / name).write_bytes(content)
    serving(tmp_path)
    with pytest.raises(ModelError, match=found):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="no folder"):
        load_model(tmp_path / "none")
