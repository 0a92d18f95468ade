import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.schemes import SCHEMES
from slimline.core.tflite.runtime import TFLiteModel, from_stored, to_stored
from slimline.errors import ModelError

LAYERS = tf_keras.layers


@pytest.fixture(scope="module")
def echo() -> bytes:
    """An int8 file that gives back what it is given, calibrated on -1 to 3."""
    values = LAYERS.Input((4,), name="values")
    model = tf_keras.Model(values, LAYERS.Reshape((2, 2), name="same")(values))
    records = np.linspace(-1, 3, 400, dtype=np.float32).reshape(-1, 1, 4)
    return quantize(model, QuantizationConfig(scheme="int8"), lambda: ({"values": record} for record in records))


@pytest.fixture(scope="module")
def plain_many(many) -> TFLiteModel:
    return TFLiteModel(quantize(many, QuantizationConfig(scheme="float32")), "many")


@given(values=st_np.arrays(np.float32, (3, 4), elements=st.floats(-8, 8, width=32)))
def test_int8_input_is_rounded_and_clipped_and_the_output_is_made_real_again(echo, values):
    interpreter = Interpreter(model_content=echo)
    scale, zero_point = interpreter.get_input_details()[0]["quantization"]
    lowest, highest = (-128 - zero_point) * scale, (127 - zero_point) * scale
    (given_back,) = TFLiteModel(echo, "echo").predict({"values": values}).values()
    assert given_back.shape == (3, 2, 2)
    assert given_back.dtype == np.float32
    expected = np.clip(values, lowest, highest).reshape(3, 2, 2)
    # Half a step is the most that rounding may cost, and every value lies on a step.
    assert np.abs(given_back - expected).max() <= scale / 2 * 1.001
    steps = given_back / np.float32(scale) + zero_point
    assert steps == pytest.approx(np.round(steps), abs=1e-3)


def test_values_out_of_range_saturate(echo):
    (given_back,) = (
        TFLiteModel(echo, "echo").predict({"values": np.array([[-1e9, -1.1, 3.1, 1e9]], np.float32)}).values()
    )
    assert given_back.ravel() == pytest.approx([-1, -1, 3, 3], abs=0.02)
    assert given_back[0, 0, 0] == given_back[0, 0, 1]
    assert given_back[0, 1, 0] == given_back[0, 1, 1]


def test_an_int8_file_gets_and_gives_what_numpy_computes(converted, digits):
    images = digits[0][:20]
    interpreter = Interpreter(model_content=converted["int8"])
    runner = interpreter.get_signature_runner()
    scale, zero_point = runner.get_input_details()["image"]["quantization"]
    quantized = np.clip(np.floor(images.astype(np.float64) / scale + 0.5) + zero_point, -128, 127).astype(np.int8)
    scores = np.concatenate([runner(image=image[np.newaxis])["scores"] for image in quantized])
    scale, zero_point = runner.get_output_details()["scores"]["quantization"]
    expected = (scores.astype(np.float64) - zero_point) * scale
    assert TFLiteModel(converted["int8"], "int8").predict({"image": images})["scores"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scheme", "tolerance"),
    [("float32", 1e-5), ("float16", 2e-3), ("int16x8", 0.02), ("dynamic_range", 0.05), ("int8", 0.15)],
)
def test_predictions_are_near_those_of_the_original(converted, trained, digits, scheme, tolerance):
    images = digits[0][:50]
    scores = TFLiteModel(converted[scheme], scheme).predict({"image": images})["scores"]
    assert np.abs(scores - trained.predict(images, verbose=0)).max() < tolerance


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_example_is_predicted_alike_alone_and_in_a_batch(converted, digits, scheme):
    model, images = TFLiteModel(converted[scheme], scheme), digits[0][:5]
    batch = model.predict({"image": images})["scores"]
    assert all(np.array_equal(model.predict({"image": images[i : i + 1]})["scores"][0], batch[i]) for i in range(5))


def test_inputs_and_outputs_go_by_name(many, many_inputs, plain_many):
    expected = dict(zip(many.output_names, many(many_inputs), strict=True))
    for names in (sorted(many_inputs), sorted(many_inputs, reverse=True)):
        outputs = plain_many.predict({name: many_inputs[name] for name in names})
        assert outputs["one"] == pytest.approx(expected["one"].numpy(), abs=1e-5)
        assert outputs["two"] == pytest.approx(expected["two"].numpy(), abs=1e-5)


def test_shapes_are_told_without_the_batch(echo, plain_many):
    assert plain_many.input_shapes == {"left": (2,), "right": (3,), "ids": (5,)}
    assert plain_many.output_shapes == {"one": (1,), "two": (2,)}
    assert TFLiteModel(echo, "echo").output_shapes == {"same": (2, 2)}


@pytest.mark.parametrize("content", [b"", b"garbage", b"garbage" * 1000, bytes(1000), b"\x1c\0\0\0TFL3"])
def test_bytes_that_are_no_model_are_refused(content):
    with pytest.raises(ModelError, match=r"some-file is not a file that LiteRT can load"):
        TFLiteModel(content, "some-file")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_refused(converted, share):
    content = converted["float32"]
    with pytest.raises(ModelError):
        TFLiteModel(content[: int(len(content) * share)], "some-file")


def damaged(content, name):
    """Returns a file in which the first byte of a name, wherever that stands, is none of UTF-8."""
    assert name in content
    return content.replace(name, b"\xff" + name[1:])


@pytest.mark.parametrize("name", [b"serving_default_image", b"StatefulPartitionedCall", b"image\0", b"scores\0"])
def test_a_file_with_a_damaged_name_is_refused(converted, name):
    with pytest.raises(ModelError, match="some-file is not a file that LiteRT can load"):
        TFLiteModel(damaged(converted["float32"], name), "some-file")


def test_a_file_without_a_signature_gets_one():
    function = tf.function(lambda x: x * 2).get_concrete_function(tf.TensorSpec([1, 4]))
    content = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    model = TFLiteModel(content, "some-file")
    (name,) = model.inputs
    (doubled,) = model.predict({name: np.ones((3, 4), np.float32)}).values()
    assert doubled.tolist() == [[2.0] * 4] * 3


def test_an_operation_that_fails_is_reported_with_the_file(plain_many, many_inputs):
    beyond = np.full_like(many_inputs["ids"], 1_000_000)
    with pytest.raises(ModelError, match="many failed while it ran"):
        plain_many.predict({**many_inputs, "ids": beyond})


@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        (lambda values: tf.concat([values, values], 0), r"\(2, 4\)"),
        (lambda values: tf.reshape(values, [-1, 2]), r"\(2, 2\)"),
        (lambda values: tf.boolean_mask(values, values[:, 0] > 1), r"\(0, 4\)"),
    ],
)
def test_an_output_without_exactly_one_row_for_an_example_is_refused(rows, shape):
    values = LAYERS.Input((4,), name="values")
    model = tf_keras.Model(values, LAYERS.Lambda(rows, name="rows")(values))
    runnable = TFLiteModel(quantize(model, QuantizationConfig(scheme="float32")), "some-file")
    example = {"values": np.zeros((1, 4), np.float32)}
    for run in (runnable.predict, runnable.measure_latency):
        with pytest.raises(ModelError, match=f"output 'rows' of some-file has the shape {shape} for one example"):
            run(example)


def test_latency_is_measured_on_single_inferences(converted, digits):
    latency = TFLiteModel(converted["float32"], "small").measure_latency({"image": digits[0][:1]})
    assert 0 < latency.p50_ms <= latency.p90_ms < 1000
    assert 1 <= latency.num_runs <= 50


def test_inputs_and_outputs_are_listed_in_the_order_of_the_graph(many, many_inputs):
    content = quantize(many, QuantizationConfig(scheme="float32"))
    model, interpreter = TFLiteModel(content, "many"), Interpreter(model_content=content)
    interpreter.allocate_tensors()
    assert sorted(model.input_order) == sorted(model.inputs)
    for name, detail in zip(model.input_order, interpreter.get_input_details(), strict=True):
        assert tuple(detail["shape"][1:]) == model.input_shapes[name]
        interpreter.set_tensor(detail["index"], many_inputs[name][:1])
    interpreter.invoke()
    outputs = model.predict({name: values[:1] for name, values in many_inputs.items()})
    assert sorted(model.output_order) == sorted(model.outputs)
    for name, detail in zip(model.output_order, interpreter.get_output_details(), strict=True):
        np.testing.assert_array_equal(interpreter.get_tensor(detail["index"]), outputs[name])


def test_stored_outputs_keep_the_types_of_the_file(converted, digits):
    model, given_image = TFLiteModel(converted["int8"], "int8"), {"image": digits[0][:1]}
    stored = model.predict_stored(given_image)["scores"]
    assert stored.shape == (1, 10)
    assert stored.dtype == np.int8
    detail = model.outputs["scores"]
    np.testing.assert_array_equal(from_stored(stored, detail), model.predict(given_image)["scores"])
    plain = TFLiteModel(converted["float32"], "float32")
    np.testing.assert_array_equal(plain.predict_stored(given_image)["scores"], plain.predict(given_image)["scores"])


@given(st_np.arrays(np.int8, 9))
def test_what_is_stored_comes_back_as_it_was(values):
    detail = {"quantization": (0.05, 3), "dtype": np.int8}
    np.testing.assert_array_equal(to_stored(from_stored(values, detail), detail), values)


def test_latency_can_be_measured_of_every_kind_of_input(many, many_inputs, plain_many):
    example = {name: values[:1] for name, values in many_inputs.items()}
    before = plain_many.predict(example)
    assert plain_many.measure_latency(example).p50_ms > 0
    for name, values in plain_many.predict(example).items():
        np.testing.assert_array_equal(values, before[name])
