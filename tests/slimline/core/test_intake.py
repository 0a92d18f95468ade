import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.intake import SavedModelGraph, load_keras_model, load_model
from slimline.core.quantization import CALIBRATED_SCHEMES, SCHEMES, QuantizationConfig, quantize
from slimline.core.runtime import TFLiteModel
from slimline.errors import ConfigError, ModelError
from tests import zoo

OWN = """
import tf_keras

class Doubled(tf_keras.layers.Layer):
    def call(self, values):
        return values * 2
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
    loaded = load_keras_model(tmp_path)
    wanted = np.asarray(specimen.model(specimen.inputs["image"]))
    np.testing.assert_allclose(loaded(specimen.inputs["image"]), wanted, atol=1e-4)


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


def test_a_subclassed_model_is_known_by_its_computation_alone():
    model = zoo.subclassed().model
    assert isinstance(model, SavedModelGraph)
    assert "subclassed" in model.reason


def test_signatures_that_parse_examples_are_passed_over(tmp_path):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def parse(examples):
        return {"y": tf.strings.length(examples)}

    tf.saved_model.save(module, str(serving(tmp_path)), signatures={"serving_default": parse})
    with pytest.raises(ModelError, match="of which 0 take tensors"):
        load_model(tmp_path)


def test_layers_of_ones_own_need_their_module(tmp_path, monkeypatch):
    (tmp_path / "own_layers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    doubled = importlib.import_module("own_layers").Doubled(name="doubled")
    given = tf_keras.layers.Input((4,), name="given")
    tf_keras.Model(given, doubled(given)).save(serving(tmp_path) / "model.keras")
    assert load_keras_model(tmp_path, "own_layers").layers[1].name == "doubled"
    with pytest.raises(ModelError, match="could not be loaded"):
        load_keras_model(tmp_path)
    with pytest.raises(ConfigError, match="no module 'own_layer'"):
        load_keras_model(tmp_path, "own_layer")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, "holds nothing"),
        ({"a.keras": b"", "b.h5": b""}, "holds a.keras, b.h5"),
        ({"a.keras": b"garbage"}, "neither a .keras nor an .h5 file"),
        ({"a.txt": b""}, "holds a.txt"),
    ],
)
def test_what_is_no_model_is_refused(files, found, tmp_path):
    for name, content in files.items():
        (serving(tmp_path) / name).write_bytes(content)
    serving(tmp_path)
    with pytest.raises(ModelError, match=found):
        load_model(tmp_path)
