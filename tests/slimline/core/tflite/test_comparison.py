import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from slimline.core.tflite.comparison import compare_outputs, worst_agreement, worst_sqnr_db

SCORES = st_np.arrays(
    np.float32, st_np.array_shapes(min_dims=2, max_dims=3, min_side=1), elements=st.floats(-8, 8, width=32)
)


@given(values=SCORES)
def test_equal_outputs_agree_without_any_error(values):
    (compared,) = compare_outputs({"y": values}, {"y": values}).values()
    assert compared.agreement in (1.0, None)
    assert (compared.sqnr_db, compared.max_abs_error) == (math.inf, 0)


@given(values=SCORES, factor=st.sampled_from([0.25, 2, 1024]))
def test_the_ratio_does_not_depend_on_the_unit(values, factor):
    moved = values + np.float32(0.125)
    (one,) = compare_outputs({"y": values}, {"y": moved}).values()
    (other,) = compare_outputs({"y": values * factor}, {"y": moved * factor}).values()
    assert other.sqnr_db == pytest.approx(one.sqnr_db, abs=1e-6)
    assert other.max_abs_error == pytest.approx(one.max_abs_error * factor)


def test_the_ratio_is_that_of_powers():
    reference, given_back = np.array([[3.0, 4.0]]), np.array([[3.3, 4.4]])
    (compared,) = compare_outputs({"y": reference}, {"y": given_back}).values()
    assert compared.sqnr_db == pytest.approx(20)
    assert compared.max_abs_error == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("reference", "given_back", "agreement"),
    [
        ([[0.1, 0.9], [0.8, 0.2]], [[0.4, 0.6], [0.4, 0.6]], 0.5),
        ([[[1, 2], [2, 1]], [[0, 3], [3, 0]]], [[[1, 2], [1, 2]], [[0, 3], [3, 0]]], 0.75),
        ([[0.9], [0.5], [0.1], [0.4]], [[0.6], [0.5], [0.2], [0.7]], 0.75),
        ([0.9, 0.1], [0.1, 0.1], 0.5),
        ([[1.5], [0.1]], [[0.1], [0.1]], None),
        ([[-0.2], [0.9]], [[0.1], [0.1]], None),
    ],
    ids=["scores", "scores per place", "probability", "flat probability", "number", "negative number"],
)
def test_what_agrees_is_the_decision(reference, given_back, agreement):
    (compared,) = compare_outputs({"y": np.array(reference)}, {"y": np.array(given_back)}).values()
    assert compared.agreement == agreement


def test_no_signal_with_noise_is_the_lowest_ratio():
    (compared,) = compare_outputs({"y": np.zeros((2, 1))}, {"y": np.ones((2, 1))}).values()
    assert compared.sqnr_db == -100


def test_the_worst_output_counts_and_one_that_decides_nothing_does_not():
    reference = {"classes": np.eye(4), "size": np.full((4, 1), 10.0)}
    given_back = {"classes": np.eye(4)[[0, 1, 2, 0]], "size": np.full((4, 1), 11.0)}
    compared = compare_outputs(reference, given_back)
    assert list(compared) == ["classes", "size"]
    assert worst_agreement(compared) == compared["classes"].agreement == 0.75
    assert worst_sqnr_db(compared) == compared["classes"].sqnr_db < compared["size"].sqnr_db == pytest.approx(20)
    assert worst_agreement({"size": compared["size"]}) is None
