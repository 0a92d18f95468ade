import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.models.saving import read_tflite
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.packaging import InputOrigins, find_input_origins, package
from slimline.core.quantization.production import Product, produce
from slimline.core.quantization.report_types import Calibration
from slimline.core.tflite.provenance import describe_origin, read_provenance_id
from slimline.errors import ModelError
from slimline.names import file_names
from tests import handmade, zoo

LAYERS = tf_keras.layers
ORIGIN = describe_origin(
    source_digest="sha256:0", config="{}", backend="converter", calibration_digest=None, training_digest=None
)
UNKNOWN = InputOrigins({}, "Unknown.")
LABEL = ExamplesConfig(label_key="digit")
NAMED_LABEL = """
feature { name: "image" type: FLOAT shape { dim { size: 64 } } }
feature { name: "digit" type: BYTES string_domain { value: "even" value: "odd" } }
"""


@pytest.fixture(scope="module")
def packed(trained, converted, digits):
    """An int8 file that was tried on ten images."""
    config = QuantizationConfig(scheme="int8", label_names=tuple("abcdefghij"))
    product = Product(converted["int8"], converted["float32"])

    def records():
        return ({"image": image[np.newaxis]} for image in digits[0][:10])

    inputs = InputOrigins({"image": "pixels"}, "None.", ("not", "these"))
    return package(trained, config, product, records, inputs=inputs, origin=ORIGIN)


def test_the_file_that_was_tried_is_the_one_with_the_stamp(packed, converted):
    assert read_provenance_id(packed.content) == ORIGIN.provenance_id
    assert packed.report.sizes.bytes == len(packed.content) > len(converted["int8"])
    assert packed.examination is not None
    assert packed.report.smoke_run.num_records == packed.examination.num_tried == 10
    assert packed.report.calibration.stability.num_records == 10


def test_the_ends_are_described_with_what_is_known(packed, digits):
    (image,) = packed.io_spec.inputs
    assert (image.feature, image.observed) == ("pixels", (0.0, 1.0))
    assert packed.io_spec.preprocessing == "None."
    assert packed.io_spec.label_names == tuple("abcdefghij")


def test_three_files_are_written(packed, tmp_path):
    path = packed.write(tmp_path)
    assert path == tmp_path / file_names.QUANTIZATION_REPORT
    assert json.loads(path.read_text()) == packed.report.to_dict()
    assert (
        json.loads((tmp_path / file_names.SERVING_FOLDER / file_names.IO_SPEC).read_text()) == packed.io_spec.to_dict()
    )
    assert read_tflite(tmp_path) == packed.content
    assert len([file for file in tmp_path.rglob("*") if file.is_file()]) == 3


def test_random_inputs_leave_no_observed_range(trained, converted):
    product = Product(converted["float16"], converted["float32"])
    packed = package(trained, QuantizationConfig(scheme="float16"), product, None, inputs=UNKNOWN, origin=ORIGIN)
    assert packed.io_spec.inputs[0].observed is None
    assert packed.report.smoke_run is not None
    assert packed.report.smoke_run.records == "random"
    assert packed.report.calibration == Calibration(0, None)


def test_a_file_that_can_not_run_is_not_packed(trained):
    product = Product(handmade.reshape(5), handmade.reshape(4))

    def records():
        return iter([{"x": np.ones((1, 4), np.float32)}])

    with pytest.raises(ModelError, match=r"at RESHAPE \(reshaped\)"):
        package(trained, QuantizationConfig(scheme="int8"), product, records, inputs=UNKNOWN, origin=ORIGIN)


def test_layers_that_prepare_inputs_are_named():
    model = zoo.preprocessing().model
    config = QuantizationConfig(scheme="float32")
    packed = package(model, config, produce(model, config), None, inputs=UNKNOWN, origin=ORIGIN)
    named = [layer.name for layer in model.layers if type(layer).__name__ in ("Rescaling", "Normalization", "Resizing")]
    assert named
    for name in named:
        assert name in packed.io_spec.preprocessing
    assert packed.io_spec.preprocessing.startswith("Unknown. The file itself applies ")


@pytest.mark.parametrize(("schema_text", "data"), [(None, None), (None, LABEL), (NAMED_LABEL, None)])
def test_inputs_without_examples_are_unknown(trained, schema_text, data):
    schema = None if schema_text is None else text_format.Parse(schema_text, schema_pb2.Schema())
    found = find_input_origins(trained, schema, data)
    assert (found.features, found.label_names) == ({}, ())
    assert found.preprocessing.startswith("Unknown")


def test_inputs_are_the_features_that_feed_them(trained, schema):
    found = find_input_origins(trained, schema, LABEL)
    assert found.features == {"image": "image"}
    assert found.preprocessing.startswith("None: inputs are the features' values")
    assert found.label_names == ()


def test_labels_that_the_schema_lists_are_the_class_names(trained):
    schema = text_format.Parse(NAMED_LABEL, schema_pb2.Schema())
    assert find_input_origins(trained, schema, LABEL).label_names == ("even", "odd")


@pytest.mark.parametrize("option", ["preprocessing_fn", "input_fn"])
def test_code_of_the_users_own_is_named(trained, schema, option):
    options: dict[str, Any] = {option: "module.function"}
    found = find_input_origins(trained, schema, ExamplesConfig(**options))
    assert found.features == {}
    assert found.preprocessing == "What module.function does to the examples."


def test_operations_on_strings_are_none_that_tflite_has():
    words = LAYERS.Input((1,), dtype="string", name="words")
    hidden = LAYERS.Lambda(lambda text: tf.cast(tf.strings.length(text), tf.float32), name="length")(words)
    model = tf_keras.Model(words, LAYERS.Dense(1, name="one")(hidden), name="counter")
    config = QuantizationConfig(scheme="float32")
    with pytest.raises(ModelError, match="StringLength"):
        produce(model, config)
