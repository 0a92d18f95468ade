import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.tflite.activations import (
    ActivationError,
    activation_errors,
    activation_ranges,
    added_noise,
    decibels,
    run_model,
)
from slimline.core.tflite.flatbuffer import Operation, operations
from slimline.core.tflite.runtime import TFLiteModel
from tests import handmade

POWERS = st.just(0.0) | st.floats(1e-6, 1e9)


def error(output, signal, noise, largest=(), inputs=()):
    operation = Operation("CONV_2D", output, 0, "float32", tuple(inputs), "", 0)
    signal, noise = np.array(signal, float), np.array(noise, float)
    return ActivationError(operation, signal, noise, np.array(largest or np.sqrt(signal), float))


@pytest.fixture(scope="module")
def wide_errors(wide, digits):
    images = digits[0][:20]
    plain = quantize(wide, QuantizationConfig(scheme="float32"))
    int8 = quantize(
        wide, QuantizationConfig(scheme="int8"), lambda: ({"image": image[None]} for image in digits[0][:50])
    )
    return {
        found.operation.output.split("/")[1]: found
        for found in activation_errors(plain, int8, {"image": images})
        if "/" in found.operation.output
    }


@pytest.mark.parametrize("scheme", ["float32", "float16", "int8"])
def test_a_file_has_no_errors_against_itself(converted, digits, scheme):
    content = converted[scheme]
    errors = activation_errors(content, content, {"image": digits[0][:3]})
    listed = [op.output for op in operations(content) if op.output_dtype == "float32" and op.op != "DEQUANTIZE"]
    assert [found.operation.output for found in errors if found.operation.op != "DEQUANTIZE"] == listed
    for found in errors:
        assert (found.noise_share, found.lost_channels, found.sqnr_db) == (0, 0, math.inf)
        assert not found.noise.any()


@pytest.mark.parametrize("scheme", ["float16", "dynamic_range", "int8", "int16x8"])
def test_every_operation_of_the_float_file_is_compared(converted, digits, scheme):
    errors = activation_errors(converted["float32"], converted[scheme], {"image": digits[0][:5]})
    assert {found.operation.op: len(found.signal) for found in errors if found.operation.op != "CONV_2D"} == {
        "MAX_POOL_2D": 8,
        "RESHAPE": 128,
        "FULLY_CONNECTED": 10,
        "SOFTMAX": 10,
    }
    # The converter renames what it fuses into a float16 convolution.
    assert scheme == "float16" or errors[0].operation.op == "CONV_2D"
    assert all(found.sqnr_db > 15 for found in errors)


def test_errors_are_sums_over_records(converted, digits):
    whole = activation_errors(converted["float32"], converted["int8"], {"image": digits[0][:2]})
    parts = [
        activation_errors(converted["float32"], converted["int8"], {"image": digits[0][i : i + 1]}) for i in (0, 1)
    ]
    for both, one, other in zip(whole, *parts, strict=True):
        np.testing.assert_allclose(both.signal, one.signal + other.signal)
        np.testing.assert_allclose(both.noise, one.noise + other.noise)
        np.testing.assert_array_equal(both.largest, np.maximum(one.largest, other.largest))


def test_the_last_error_is_that_of_the_output(converted, digits):
    images = {"image": digits[0][:5]}
    last = activation_errors(converted["float32"], converted["int8"], images)[-1]
    wanted = run_model(converted["float32"], "float", images)["scores"]
    given_back = run_model(converted["int8"], "int8", images)["scores"]
    np.testing.assert_allclose(last.signal, np.square(wanted).sum(0), rtol=1e-4)
    np.testing.assert_allclose(last.noise, np.square(wanted - given_back).sum(0), rtol=1e-2, atol=1e-6)


def test_channels_beside_a_wide_one_are_found_as_lost(wide_errors):
    found = wide_errors["conv"]
    share = found.noise / np.where(found.signal > 0, found.signal, 1)
    alive = found.signal[handmade.NUM_WIDE :] > 0
    assert (share[: handmade.NUM_WIDE] < 0.01).all()
    assert (share[handmade.NUM_WIDE :][alive] > 0.9).all()
    assert found.lost_channels == alive.sum() >= 4
    assert found.spread > 300
    assert found.sqnr_db > 30


def test_the_noise_enters_where_the_wide_channel_is(wide_errors):
    added = added_noise(list(wide_errors.values()))
    assert max(added, key=lambda name: added[name]) == wide_errors["conv"].operation.output
    assert added[wide_errors["flatten"].operation.output] < 0.05


def test_noise_that_is_passed_on_is_not_added():
    errors = [
        error("a", [1, 1], [0.5, 0.5]),
        error("b", [1], [0.5], inputs=["a"]),
        error("c", [1], [0.75], inputs=["a", "b", "unknown"]),
        error("d", [1], [0.1], inputs=["c"]),
    ]
    assert added_noise(errors) == pytest.approx({"a": 0.5, "b": 0, "c": 0.25, "d": -0.65})


@given(
    channels=st.lists(st.tuples(POWERS, POWERS), min_size=1, max_size=6),
)
def test_figures_of_an_error_are_in_their_limits(channels):
    signal, noise = np.array(channels).T
    found = error("a", signal, noise)
    assert 0 <= found.noise_share <= 1
    assert 0 <= found.lost_channels <= (signal > 0).sum()
    assert found.spread >= 1
    assert found.sqnr_db >= -100


def test_a_dead_channel_carries_no_signal_that_could_be_lost():
    found = error("a", [0, 4], [1, 0])
    assert (found.noise_share, found.lost_channels, found.spread) == (0, 0, 1)
    dead = error("a", [0], [0], largest=[0.0])
    assert (dead.noise_share, dead.lost_channels, dead.spread, dead.sqnr_db) == (0, 0, 1, math.inf)


@pytest.mark.parametrize(
    ("signal", "noise", "expected"), [(1, 0, math.inf), (0, 0, math.inf), (100, 1, 20), (0, 1, -100), (1, 1e30, -100)]
)
def test_decibels(signal, noise, expected):
    assert decibels(signal, noise) == expected


def test_ranges_are_those_of_each_record(converted, digits):
    images = digits[0][:4]
    ranges = activation_ranges(converted["float32"], {"image": images})
    assert list(ranges) == [operation.output for operation in operations(converted["float32"])]
    model = TFLiteModel(converted["float32"], "float", observed=True)
    for row in range(4):
        model.predict({"image": images[row : row + 1]})
        for operation in operations(converted["float32"]):
            values = model.activation(operation.output_index)
            low, high = ranges[operation.output]
            assert (low[row], high[row]) == (values.min(), values.max())


def test_integers_inside_of_a_float_file_have_no_range(many, many_inputs):
    content = quantize(many, QuantizationConfig(scheme="float32"))
    assert set(activation_ranges(content, many_inputs)) == {
        operation.output for operation in operations(content) if operation.output_dtype == "float32"
    }
