import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.examples.features import (
    find_feature,
    input_spec,
    label_spec,
    load_schema,
    match_inputs,
    schema_spec,
    to_inputs,
)
from slimline.errors import ExamplesError

L = tf_keras.layers
LABEL = frozenset({"label"})


def schema(text):
    return text_format.Parse(text, schema_pb2.Schema())


def feature(name, kind="FLOAT", shape=None):
    dims = "" if shape is None else "shape {" + " ".join(f"dim {{ size: {size} }}" for size in shape) + "}"
    return f'feature {{ name: "{name}" type: {kind} {dims} }}\n'


def model(*inputs):
    """A model with some inputs, given by name, shape and type."""
    given = [L.Input(shape, name=name, dtype=dtype) for name, shape, dtype in inputs]
    return tf_keras.Model(given, [L.Flatten()(tensor) for tensor in given])


IMAGE = ("image", (2, 3), "float32")
TABLE = schema(feature("image", shape=[6]) + feature("age", "INT") + feature("label", "INT"))


@pytest.mark.parametrize("shape", [[6], [2, 3], [3, 2, 1], None])
def test_an_input_takes_a_feature_of_as_many_values_in_whatever_shape(shape):
    given = model(IMAGE)
    inputs = match_inputs(given, schema(feature("image", shape=shape) + feature("age", "INT")), {}, frozenset())
    assert [(name, matched.name, size) for name, (matched, size) in inputs.items()] == [("image", "image", 6)]
    spec = input_spec(inputs)
    record = tf.train.Example()
    record.features.feature["image"].float_list.value.extend(range(6))
    parsed = tf.io.parse_example([record.SerializeToString()] * 4, spec)
    assert to_inputs(parsed, inputs, given)["image"].shape == (4, 2, 3)


def test_the_only_feature_besides_the_label_belongs_to_the_only_input():
    one = schema(feature("pixels", shape=[6]) + feature("label", "INT"))
    assert match_inputs(model(IMAGE), one, {}, LABEL)["image"][0].name == "pixels"
    with pytest.raises(ExamplesError, match="no feature 'image'"):
        match_inputs(model(IMAGE), one, {}, frozenset())


def test_a_feature_that_is_chosen_goes_before_one_of_the_inputs_name():
    both = schema(feature("image", shape=[6]) + feature("picture", shape=[6]))
    assert match_inputs(model(IMAGE), both, {"image": "picture"}, frozenset())["image"][0].name == "picture"


@pytest.mark.parametrize(
    ("given", "chosen", "message"),
    [
        (("imag", (6,), None), {}, "no feature 'imag', which is wanted for the model input 'imag'"),
        (IMAGE, {"image": "imagee"}, "no feature 'imagee'"),
        (IMAGE, {"imge": "image"}, "input_features names 'imge', which is no input of the model"),
        (IMAGE, {"image": "age"}, "'age' has 1 values, but the model input 'image' takes 6"),
        (("image", (5,), None), {}, "'image' has 6 values, but the model input 'image' takes 5"),
        (("image", (6,), "string"), {}, "'image' is FLOAT, but the model input 'image' is string"),
        (IMAGE, {"image": "word"}, "'word' is BYTES, but the model input 'image' is float32"),
        (("image", (None, None), None), {}, r"'image' has the shape \(None, None, None\)"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_read(given, chosen, message):
    table = schema(feature("image", shape=[6]) + feature("age", "INT", []) + feature("word", "BYTES"))
    with pytest.raises(ExamplesError, match=message):
        match_inputs(model(given), table, chosen, LABEL)


def test_the_nearest_feature_is_named():
    with pytest.raises(ExamplesError) as refused:
        find_feature(TABLE, "lable", "the label", "correct it")
    assert "Did you mean 'label'" in refused.value.remedy
    assert refused.value.expected == "one of age, image, label"


@pytest.mark.parametrize(
    ("shape", "parsed"), [(None, []), ([], []), ([1], []), ([1, 1], []), ([3], [3]), ([2, 2], [2, 2])]
)
def test_a_label_of_one_value_is_a_scalar(shape, parsed):
    assert label_spec(schema(feature("label", "INT", shape)).feature[0]).shape == parsed


def test_without_a_model_features_are_parsed_as_the_schema_says():
    spec = schema_spec(schema(feature("image", shape=[2, 3]) + feature("words", "BYTES") + feature("age", "INT", [])))
    assert spec == {
        "image": tf.io.FixedLenFeature([2, 3], tf.float32),
        "words": tf.io.VarLenFeature(tf.string),
        "age": tf.io.FixedLenFeature([], tf.int64),
    }


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_numbers_are_cast_to_the_inputs_type_and_strings_stay(dtype):
    given = model(("number", (2,), dtype), ("word", (1,), "string"))
    text = schema(feature("number", "INT", [2]) + feature("word", "BYTES", [1]))
    inputs = match_inputs(given, text, {}, frozenset())
    parsed = {"number": tf.constant([[0, 1]], tf.int64), "word": tf.constant([["oak"]])}
    shaped = to_inputs(parsed, inputs, given)
    np.testing.assert_array_equal(shaped["number"], np.array([[0, 1]], dtype))
    assert (shaped["number"].dtype, shaped["word"].dtype) == (tf.as_dtype(dtype), tf.string)


def test_a_schema_is_loaded_and_what_is_none_is_refused(tmp_path):
    path = tmp_path / "schema.pbtxt"
    with pytest.raises(ExamplesError, match="no file"):
        load_schema(str(path))
    path.write_text("feature { nme: 'x' }")
    with pytest.raises(ExamplesError, match="is no schema"):
        load_schema(str(path))
    path.write_text(text_format.MessageToString(TABLE))
    assert load_schema(str(path)) == TABLE
