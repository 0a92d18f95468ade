"""Models that look up, split and encode, held against Keras."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models import load_keras_model, split_preprocessing
from slimline.core.models.rebuilding import rebuild
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.quantization.production import examine, gather_records, produce
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ModelError

LAYERS = tf_keras.layers
CITIES = np.array([["rome"], ["oslo"], ["nowhere"], ["lima"]], dtype=object)
PLAIN = QuantizationConfig(scheme="float32")


def scored(given, hidden):
    return tf_keras.Model(given, LAYERS.Dense(2, name="scores")(hidden))


def of_cities():
    city = LAYERS.Input((1,), dtype="string", name="city")
    found = LAYERS.StringLookup(vocabulary=["rome", "oslo", "lima"], name="lookup")(city)
    return scored(city, LAYERS.Flatten()(LAYERS.Embedding(4, 3)(found)))


def of_text():
    text = LAYERS.Input((1,), dtype="string", name="text")
    vectorized = LAYERS.TextVectorization(output_sequence_length=3, vocabulary=["good", "bad", "film"], name="words")
    return scored(text, LAYERS.GlobalAveragePooling1D()(LAYERS.Embedding(5, 3)(vectorized(text))))


def of_numbers():
    age, income = LAYERS.Input((1,), name="age"), LAYERS.Input((1,), name="income")
    place = LAYERS.Input((1,), dtype="int64", name="place")
    bins = LAYERS.CategoryEncoding(3, name="encoding")(LAYERS.Discretization([20.0, 40.0], name="bins")(age))
    places = LAYERS.IntegerLookup(vocabulary=[100, 101], output_mode="one_hot", name="places")(place)
    return scored([age, income, place], LAYERS.Concatenate()([bins, places, LAYERS.Rescaling(0.1)(income)]))


INPUTS = {
    of_text: [np.array([["good film"], ["bad"], ["unknown words here"]], dtype=object)],
    of_numbers: [np.array([[10.0], [30.0], [60.0]]), np.array([[1.0], [2.0], [3.0]]), np.array([[100], [101], [7]])],
}


def saved(model, folder):
    model.save(folder, save_format="tf")
    return load_keras_model(folder)


def tensors(values):
    listed = [tf.constant(each, tf.float32 if each.dtype == np.float64 else None) for each in values]
    return listed if len(listed) > 1 else listed[0]


def test_a_table_of_strings_is_converted_and_tried(tmp_path):
    wanted = of_cities()
    loaded = saved(wanted, tmp_path)

    def records():
        return ({"city": row[None]} for row in CITIES)

    product = produce(loaded, QuantizationConfig(scheme="dynamic_range"), records)
    given = TFLiteModel(product.content, "it").predict({"city": CITIES})["scores"]
    np.testing.assert_allclose(given, wanted(tf.constant(CITIES)), atol=1e-3)
    gathered = gather_records(loaded, records)
    assert gathered is not None
    assert examine(loaded, product, gathered).outputs["scores"].max_abs_error < 1e-3


@pytest.mark.parametrize("build", [of_text, of_numbers])
def test_a_copy_has_the_vocabulary_of_a_saved_model(build, tmp_path):
    model = build()
    values = tensors(INPUTS[build])
    np.testing.assert_allclose(rebuild(saved(model, tmp_path))(values), model(values), atol=1e-6)


@pytest.mark.parametrize("build", [of_text, of_numbers])
def test_what_tflite_lacks_is_refused_by_layer_and_can_be_split(build):
    model = build()
    with pytest.raises(ModelError, match=r"(words|encoding)[\s\S]*split_preprocessing"):
        quantize(model, PLAIN)
    parts = split_preprocessing(model)
    prepared = tf.nest.flatten(parts.preprocessing(tensors(INPUTS[build])))
    feed = {name: np.asarray(value) for name, value in zip(parts.core.input_names, prepared, strict=True)}
    given = TFLiteModel(quantize(parts.core, PLAIN), "it").predict(feed)["scores"]
    np.testing.assert_allclose(given, model(tensors(INPUTS[build])), atol=1e-5)


def test_nothing_to_split_is_refused():
    given = LAYERS.Input((2,))
    with pytest.raises(ModelError, match="without a layer"):
        split_preprocessing(scored(given, given))
