import json

import numpy as np
import pytest
import tf_keras

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.production import convert_float
from slimline.core.quantization.stability import MAX_DIFFERENCE, Stability, range_stability
from slimline.core.tflite.flatbuffer import output_tensors
from slimline.errors import ModelError

LIMIT_S = 60


@pytest.fixture(scope="module")
def linear():
    """The file of a model that gives each of its two inputs doubled."""
    values = tf_keras.layers.Input((2,), name="values")
    outputs = tf_keras.layers.Dense(2, use_bias=False, name="doubled")(values)
    model = tf_keras.Model(values, outputs, name="linear")
    model.set_weights([2 * np.eye(2, dtype=np.float32)])
    return convert_float(model, QuantizationConfig(scheme="float32"))


@pytest.fixture(scope="module")
def small(trained):
    return convert_float(trained, QuantizationConfig(scheme="float32"))


def stability_of(content, **inputs):
    stability = range_stability(content, inputs, LIMIT_S)
    assert stability is not None
    return stability


def pairs(*rows):
    return np.array(rows, np.float32)


def test_many_records_of_one_kind_give_settled_ranges_and_no_warning(small, digits):
    order = np.random.default_rng(0).permutation(600)
    stability = stability_of(small, image=digits[0][order])
    assert stability.num_records == 600
    assert max(stability.worst.values()) <= MAX_DIFFERENCE
    assert stability.warning == ""


def test_an_outlier_in_one_half_warns_and_is_told_with_number_and_name(small, digits):
    images = digits[0][:40].copy()
    images[7] *= 50
    stability = stability_of(small, image=images)
    name, share = max(stability.worst.items(), key=lambda item: item[1])
    assert share > 0.5
    assert stability.warning == (
        f"two halves of the 40 calibration records differ by {100 * share:.0f}% in the range of {name!r}, over 20%: "
        "sample more records"
    )


def test_the_worst_activations_come_first_and_outputs_by_their_names(small, digits):
    stability = stability_of(small, image=digits[0][:10])
    assert list(stability.worst.values()) == sorted(stability.worst.values(), reverse=True)
    assert 1 < len(stability.worst) <= 5
    assert set(stability.outputs) == set(output_tensors(small)) == {"scores"}


@pytest.mark.parametrize(
    ("rows", "difference"),
    [
        (pairs((0, 1), (0, 1), (0, 1), (0, 1)), 0.0),
        # Halves from 0 to 1 and from 0 to 2: the upper ends differ by half of the whole.
        (pairs((0, 1), (0, 2)), 0.5),
        (pairs((0, 1), (-1, 1)), 0.5),
        # The larger end counts.
        (pairs((0, 1), (-1, 3)), 0.5),
        # Even and odd records are the halves, not the first and the last ones.
        (pairs((0, 1), (0, 1), (0, 2), (0, 2)), 0.0),
        (pairs((1, 1), (1, 1)), 0.0),
    ],
)
def test_the_difference_of_two_halves_is_a_share_of_the_whole_range(linear, rows, difference):
    stability = stability_of(linear, values=rows)
    assert stability.outputs == {"doubled": pytest.approx(difference)}
    assert bool(stability.warning) == (difference > MAX_DIFFERENCE)


def test_a_settled_output_does_not_hide_an_activation_inside():
    assert "'hidden'" in Stability(2, {"scores": 0.0}, {"hidden": 0.3}).warning
    assert Stability(2, {"scores": 0.2}, {"hidden": 0.2}).warning == ""


@pytest.mark.parametrize("number", [0, 1])
def test_less_than_two_records_have_no_halves(linear, number):
    assert range_stability(linear, {"values": np.zeros((number, 2), np.float32)}, LIMIT_S) is None


def test_the_figures_are_plain_json(linear):
    stability = stability_of(linear, values=pairs((0, 1), (0, 2)))
    assert json.loads(json.dumps(stability.to_dict(), allow_nan=False))["outputs"] == {"doubled": 0.5}


def test_a_model_that_does_not_end_in_time_is_an_error_with_the_number_of_records(linear):
    with pytest.raises(ModelError, match=r"did not finish in 0\.01 s on 2 calibration records"):
        range_stability(linear, {"values": pairs((0, 1), (0, 2))}, 0.01)
