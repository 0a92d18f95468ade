import gzip
import keyword

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models.loading import load_keras_model
from slimline.core.models.saving import export_for_conversion, gzip_size, read_tflite, save_keras_model, write_tflite
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.errors import ModelError
from tests import zoo

LAYERS = tf_keras.layers


@pytest.mark.parametrize("name", ["for", "lambda", "None"])
def test_an_input_that_is_named_like_a_word_of_python_is_refused(tmp_path, name):
    assert keyword.iskeyword(name)
    values, other = LAYERS.Input((2,), name=name), LAYERS.Input((2,), name="other")
    for inputs in (values, [other, values]):
        model = tf_keras.Model(inputs, LAYERS.Dense(1)(values))
        with pytest.raises(ModelError, match=f"named '{name}', which is a word of Python"):
            export_for_conversion(model, model.output_names, tmp_path)
        with pytest.raises(ModelError, match=f"named '{name}', which is a word of Python"):
            quantize(model, QuantizationConfig(scheme="float32"))


@pytest.mark.parametrize("name", ["match", "cls", "inputs", "print"])
def test_an_input_with_any_other_name_keeps_it(tmp_path, name):
    values = LAYERS.Input((2,), name=name)
    model = tf_keras.Model(values, LAYERS.Dense(1, name="out")(values))
    signature = export_for_conversion(model, ["out"], tmp_path)
    exported = tf.saved_model.load(str(tmp_path)).signatures[signature]
    assert list(exported.structured_input_signature[1]) == [name]
    assert list(exported.structured_outputs) == ["out"]


@pytest.mark.parametrize("build", [zoo.tabular, zoo.nested, zoo.lstm, zoo.preprocessing])
def test_what_is_saved_is_loaded_again_and_served_under_the_models_own_names(build, tmp_path):
    specimen = build()
    save_keras_model(specimen.model, tmp_path)
    loaded = load_keras_model(tmp_path)
    served = tf.saved_model.load(str(tmp_path / "Format-Serving")).signatures["serving_default"]
    inputs = {name: values[:5] for name, values in specimen.inputs.items()}
    outputs = served(**{name: tf.constant(values) for name, values in inputs.items()})
    wanted = tf.nest.flatten(specimen.model(inputs))
    for name, one, other in zip(specimen.model.output_names, wanted, tf.nest.flatten(loaded(inputs)), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)
        np.testing.assert_allclose(outputs[name], one, atol=1e-6)
    assert loaded.output_names == specimen.model.output_names


def test_a_tflite_file_is_read_from_its_artifact_its_folder_or_itself(tmp_path):
    path = write_tflite(b"content", tmp_path)
    assert path == tmp_path / "Format-Serving" / "tflite"
    for place in (tmp_path, path.parent, path):
        assert read_tflite(place) == b"content"
    with pytest.raises(ModelError, match=r"no file .*Format-Serving/tflite"):
        read_tflite(tmp_path / "none")


def test_the_size_of_a_download_is_that_of_gzip():
    content = np.random.default_rng(0).integers(0, 4, 10_000).astype(np.uint8).tobytes()
    assert gzip_size(content) == len(gzip.compress(content, 9))
    assert gzip_size(bytes(10_000)) < 100 < gzip_size(content) < 10_000
