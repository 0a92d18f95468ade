import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

from slimline.core.optimization.qat_config import QatConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import check_calibration, quantize
from slimline.core.schemes import CALIBRATED_SCHEMES, SCHEMES
from slimline.errors import ConfigError, ModelError

LAYERS = tf_keras.layers


def convert(model, scheme, calibration=None):
    """Converts with the calibration records, given as a batch by input name, where the scheme uses them."""

    def records():
        size = len(next(iter(calibration.values())))
        return ({name: values[i : i + 1] for name, values in calibration.items()} for i in range(size))

    return quantize(model, QuantizationConfig(scheme=scheme), records if scheme in CALIBRATED_SCHEMES else None)


def open_file(content):
    # Delegates turn operations into one of their own, which would hide the types of what lies between.
    interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    return interpreter


def dtypes(content):
    """Returns the set of dtypes of a file's tensors, without the integers that hold shapes."""
    return {np.dtype(tensor["dtype"]).name for tensor in open_file(content).get_tensor_details()} - {"int32"}


def shapes(details):
    return {name: detail["shape"].tolist() for name, detail in details.items()}


def weights(content):
    """Returns the dtype of the weights of the dense layer of 128 by 32, wherever they lie."""
    found = [t for t in open_file(content).get_tensor_details() if sorted(t["shape"]) == [32, 128]]
    return {np.dtype(tensor["dtype"]).name for tensor in found}


@pytest.mark.parametrize(
    ("scheme", "all_tensors", "weight"),
    [
        ("float32", {"float32"}, {"float32"}),
        ("int8", {"int8"}, {"int8"}),
        ("int16x8", {"float32", "int16", "int8", "int64"}, {"int8"}),
        ("dynamic_range", {"float32", "int8"}, {"int8"}),
        ("float16", {"float32", "float16"}, {"float32", "float16"}),
    ],
)
def test_the_types_in_the_file_are_those_of_the_scheme(converted, scheme, all_tensors, weight):
    assert dtypes(converted[scheme]) == all_tensors
    assert weights(converted[scheme]) == weight


@pytest.mark.parametrize("scheme", SCHEMES)
def test_input_and_output_have_the_type_that_the_scheme_promises(converted, scheme):
    interpreter = open_file(converted[scheme])
    details = interpreter.get_input_details() + interpreter.get_output_details()
    assert [detail["dtype"] for detail in details] == [np.int8 if scheme == "int8" else np.float32] * 2


def test_no_operation_of_an_int8_file_converts_types(converted):
    names = {operation["op_name"] for operation in open_file(converted["int8"])._get_ops_details()}
    assert "CONV_2D" in names
    assert not names & {"QUANTIZE", "DEQUANTIZE", "CAST"}


def test_smaller_types_make_smaller_files(converted):
    size = {scheme: len(content) for scheme, content in converted.items()}
    assert size["float16"] < 0.75 * size["float32"]
    assert max(size["int8"], size["dynamic_range"]) < 0.75 * size["float16"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_one_signature_has_the_names_of_the_model(many, many_inputs, scheme):
    interpreter = open_file(convert(many, scheme, many_inputs))
    assert list(interpreter.get_signature_list()) == ["serving_default"]
    runner = interpreter.get_signature_runner()
    assert shapes(runner.get_input_details()) == {"ids": [1, 5], "left": [1, 2], "right": [1, 3]}
    assert shapes(runner.get_output_details()) == {"one": [1, 1], "two": [1, 2]}


@pytest.mark.parametrize("name", ["Image", "image-1", "1st", "a/b"])
def test_unusual_names_are_kept(name):
    image = LAYERS.Input((2,), name=name)
    model = tf_keras.Model(image, LAYERS.Dense(1, name=f"{name}_out")(image))
    (signature,) = open_file(convert(model, "float32")).get_signature_list().values()
    assert signature == {"inputs": [name], "outputs": [f"{name}_out"]}


def test_the_model_is_not_changed(many, many_inputs):
    before, config = [weight.copy() for weight in many.get_weights()], many.get_config()
    convert(many, "int8", many_inputs)
    assert all(np.array_equal(old, new) for old, new in zip(before, many.get_weights(), strict=True))
    assert many.get_config() == config


def test_a_trained_normalization_is_not_trained_further(trained, digits, converted):
    interpreter = open_file(converted["float32"])
    scores = interpreter.get_signature_runner()(image=digits[0][:1])["scores"]
    assert scores == pytest.approx(trained(digits[0][:1], training=False).numpy(), abs=1e-5)


@pytest.mark.parametrize("scheme", CALIBRATED_SCHEMES)
def test_the_range_of_the_input_is_that_of_the_calibration_records(scheme):
    values = LAYERS.Input((2,), name="values")
    model = tf_keras.Model(values, LAYERS.Dense(1)(values))
    largest = {"int8": 127, "int16x8": 32767}[scheme]
    for limit in (0.5, 20.0):
        content = convert(model, scheme, {"values": np.array([[-limit, 0], [0, limit]], np.float32)})
        scales = [t["quantization"][0] for t in open_file(content).get_tensor_details() if "values" in t["name"]]
        assert max(scales) == pytest.approx(limit / largest, rel=0.01)


@pytest.mark.parametrize("scheme", CALIBRATED_SCHEMES)
def test_missing_calibration_is_refused(trained, scheme):
    with pytest.raises(ConfigError, match=f"scheme='{scheme}' without calibration records"):
        quantize(trained, QuantizationConfig(scheme=scheme))


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - set(CALIBRATED_SCHEMES)))
def test_calibration_has_no_effect_on_other_schemes(trained, converted, digits, scheme):
    check_calibration(QuantizationConfig(scheme=scheme), True)
    records = [{"image": image[np.newaxis]} for image in digits[0][:2]]
    assert quantize(trained, QuantizationConfig(scheme=scheme), lambda: records) == converted[scheme]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_calibration_can_be_left_out_where_no_range_is_fixed(scheme):
    check_calibration(QuantizationConfig(scheme=scheme), True)
    if scheme not in CALIBRATED_SCHEMES:
        check_calibration(QuantizationConfig(scheme=scheme), False)


@pytest.mark.parametrize("has_calibration", [False, True])
def test_calibration_is_a_choice_after_quantization_aware_training(has_calibration):
    check_calibration(QuantizationConfig(scheme="int8", training="qat"), has_calibration)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"scheme": "int16x8", "training": "qat"}, "trains for int8 alone"),
        ({"scheme": "int8", "qat": QatConfig()}, "without effect otherwise"),
    ],
)
def test_options_of_training_without_effect_are_refused(options, hint):
    with pytest.raises(ConfigError, match=hint):
        QuantizationConfig(**options)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_operation_that_tflite_lacks_is_named(scheme):
    matrix = LAYERS.Input((2, 2), name="matrix")
    model = tf_keras.Model(matrix, LAYERS.Lambda(tf.linalg.inv, name="inverse")(matrix), name="solver")
    with pytest.raises(ModelError) as refused:
        convert(model, scheme, {"matrix": np.eye(2, dtype=np.float32)[np.newaxis]})
    assert "model 'solver'" in refused.value.found
    assert "MatrixInverse" in refused.value.found


@pytest.mark.parametrize(("function", "op"), [(tf.sin, "SIN"), (tf.nn.elu, "ELU"), (tf.floor, "FLOOR")])
@pytest.mark.parametrize(
    ("scheme", "message"), [("int8", "of which int8 leaves {} in float"), ("int16x8", "not yet supported for op: '{}'")]
)
def test_an_operation_without_an_integer_kernel_is_named(scheme, message, function, op):
    values = LAYERS.Input((4,), name="values")
    hidden = LAYERS.Lambda(function, name="strange")(LAYERS.Dense(3)(values))
    model = tf_keras.Model(values, LAYERS.Dense(2)(hidden))
    with pytest.raises(ModelError) as refused:
        convert(model, scheme, {"values": np.eye(4, dtype=np.float32)})
    assert message.format(op) in refused.value.found


@pytest.mark.parametrize("scheme", CALIBRATED_SCHEMES)
def test_calibration_without_a_record_is_refused(trained, scheme):
    with pytest.raises(ConfigError, match="no calibration record"):
        quantize(trained, QuantizationConfig(scheme=scheme), lambda: iter(()))
