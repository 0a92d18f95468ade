import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.production import Product, SampleInputs, convert_float, examine, gather_records, produce
from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.schemes import SCHEMES
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ModelError
from tests import handmade, zoo

LAYERS = tf_keras.layers


def rows(values, name="image"):
    return lambda: ({name: value[np.newaxis]} for value in values)


@pytest.fixture(scope="module")
def images(digits):
    return digits[0][:120]


@pytest.fixture(scope="module")
def products(converted):
    return {scheme: Product(converted[scheme], converted["float32"]) for scheme in SCHEMES}


def test_calibration_records_are_what_a_file_is_tried_on(trained, images):
    records = gather_records(trained, rows(images))
    assert records is not None
    assert (records.source, len(records)) == ("calibration", 120)
    assert np.array_equal(records.inputs["image"], images)
    assert np.array_equal(records.first(7)["image"], images[:7])


def test_no_more_records_are_read_than_are_looked_at(trained, images):
    read = []

    def endless():
        while True:
            read.append(1)
            yield {"image": images[:1]}

    records = gather_records(trained, endless)
    assert records is not None
    assert len(records) == 256
    assert len(read) <= 257


def test_without_records_there_are_random_ones_that_are_the_same_every_time(many):
    one, other = gather_records(many, None), gather_records(many, None)
    assert one is not None
    assert other is not None
    assert one.source == "random"
    assert set(one.inputs) == {"left", "right", "ids"}
    assert one.inputs["ids"].dtype == np.int32
    assert all(np.array_equal(one.inputs[name], other.inputs[name]) for name in one.inputs)


def test_there_are_no_random_strings():
    words = LAYERS.Input((), dtype="string", name="words")
    model = tf_keras.Model(words, LAYERS.Lambda(tf.strings.length)(words))
    assert gather_records(model, None) is None


def test_the_float_file_is_the_plain_conversion(trained, converted):
    config = QuantizationConfig(scheme="int8", backend="litert-quantizer", input_type="float32")
    assert convert_float(trained, config) == converted["float32"]
    fixed = convert_float(trained, QuantizationConfig(scheme="int8", static_batch=True))
    assert list(TFLiteModel(fixed, "fixed").inputs["image"]["shape_signature"]) == [1, 8, 8, 1]


@pytest.mark.parametrize("scheme", ["float16", "int8"])
def test_what_is_produced_is_the_quantized_file_beside_the_float_one(trained, converted, images, scheme):
    product = produce(trained, QuantizationConfig(scheme=scheme), rows(images[:50]))
    assert product == Product(converted[scheme], converted["float32"], None)


def test_nothing_is_produced_without_the_records_that_a_scheme_needs(trained):
    with pytest.raises(ConfigError, match="without calibration records"):
        produce(trained, QuantizationConfig(scheme="int8"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_file_is_compared_with_the_model(trained, products, images, scheme):
    examination = examine(trained, products[scheme], SampleInputs({"image": images}, "calibration"))
    (compared,) = examination.outputs.values()
    predicted = trained.predict(images[:100], verbose=0)
    scores = TFLiteModel(products[scheme].content, scheme).predict({"image": images[:100]})["scores"]
    assert examination.num_tried == 100
    assert compared.agreement == (predicted.argmax(1) == scores.argmax(1)).mean() >= 0.97
    assert compared.max_abs_error == pytest.approx(np.abs(predicted - scores).max(), abs=1e-5)
    assert compared.sqnr_db > (100 if scheme == "float32" else 20)
    assert examination.errors


@pytest.mark.parametrize("build", [zoo.tabular, zoo.lstm])
def test_models_of_several_kinds_are_examined_on_random_inputs(build):
    model = build().model
    product = produce(model, QuantizationConfig(scheme="dynamic_range"))
    records = gather_records(model, None)
    assert records is not None
    examination = examine(model, product, records)
    assert set(examination.outputs) == set(model.output_names)
    assert all(output.sqnr_db > 10 for output in examination.outputs.values())


def test_infinity_in_the_output_is_refused():
    values = LAYERS.Input((2,), name="values")
    model = tf_keras.Model(values, LAYERS.Lambda(lambda value: 1 / value, name="huge")(values), name="large")
    product = produce(model, QuantizationConfig(scheme="float16"))
    with pytest.raises(ModelError, match=r"the float model itself, whose output 'huge' is NaN or infinite"):
        examine(model, product, SampleInputs({"values": np.zeros((3, 2), np.float32)}, "calibration"))


def test_a_file_that_can_not_run_is_refused(trained):
    product = Product(handmade.gather(1_000_000), handmade.gather(1))
    with pytest.raises(ModelError, match=r"small failed while it ran.*, at GATHER \(gathered\)"):
        examine(trained, product, SampleInputs({"x": np.ones((3, 4), np.float32)}, "random"), 60)


def test_the_time_limit_is_for_the_file(trained, products, images):
    with pytest.raises(ModelError, match=r"small, which did not finish in 0\.01 s on 100 records"):
        examine(trained, products["int8"], SampleInputs({"image": images}, "calibration"), 0.01)


def test_a_search_that_finds_no_need_gives_plain_int8(trained, converted, images):
    config = QuantizationConfig(scheme="int8", selective=SelectiveConfig(min_agreement=0.9))
    told: list[str] = []
    product = produce(trained, config, rows(images[:50]), told.append)
    assert product.content == converted["int8"]
    assert product.selection is not None
    assert len(product.selection.attempts) == 1
    assert told == ["int8 with 0 operation(s) in float32"]


def test_a_goal_out_of_reach_gives_the_closest_file(trained, images):
    config = QuantizationConfig(scheme="int8", selective=SelectiveConfig(min_sqnr_db=300, max_conversions=2))
    selection = produce(trained, config, rows(images[:50])).selection
    assert selection is not None
    assert not selection.best.meets_goal
    assert len(selection.attempts) == 2
    assert selection.best.outputs["scores"].sqnr_db == max(a.outputs["scores"].sqnr_db for a in selection.attempts)
