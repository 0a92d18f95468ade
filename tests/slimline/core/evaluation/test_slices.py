import math

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.evaluation.slices import MISSING, OVERALL, SliceBy, slice_names
from slimline.errors import ConfigError, ExamplesError
from tests.records import tf_example


def names(cuts, **features):
    return slice_names(tf.train.Example.FromString(tf_example(**features)), cuts)


def cut(*features, **buckets):
    return SliceBy(features=features, buckets=buckets)


def test_every_example_is_overall():
    assert names([], digit=3) == [OVERALL]


def test_numbers_and_strings_are_slices_of_their_own():
    cuts = [cut("digit"), cut("city")]
    assert names(cuts, digit=3, city="Bern") == [OVERALL, "digit=3", "city=Bern"]
    assert names(cuts, digit=-1, city="Zürich") == [OVERALL, "digit=-1", "city=Zürich"]
    assert names([cut("city")], city=b"\xff") == [OVERALL, r"city=\xff"]


def test_crossed_features_are_one_slice_for_each_combination():
    assert names([cut("digit", "city")], digit=3, city="Bern") == [OVERALL, "digit=3, city=Bern"]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (19, "age < 20"),
        (20, "age in [20, 40)"),
        (39.99, "age in [20, 40)"),
        (40, "age >= 40"),
        (-math.inf, "age < 20"),
        (math.inf, "age >= 40"),
        (math.nan, "age is NaN"),
    ],
)
def test_buckets_contain_their_lower_boundary(age, expected):
    assert names([cut("age", age=(20, 40))], age=age) == [OVERALL, expected]


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=5, unique=True), st.integers(-60, 60))
def test_every_number_is_in_exactly_the_bucket_that_its_name_says(boundaries, value):
    _, name = names([cut("age", age=tuple(sorted(boundaries)))], age=value)
    below = max((each for each in boundaries if each <= value), default=None)
    above = min((each for each in boundaries if each > value), default=None)
    expected = f"in [{below}, {above})" if below is not None and above is not None else f">= {below}"
    assert name == f"age {expected if below is not None else f'< {above}'}"


def test_buckets_can_be_crossed_with_values():
    assert names([cut("age", "city", age=(20,))], age=30, city="Bern") == [OVERALL, "age >= 20, city=Bern"]


@pytest.mark.parametrize("features", [{}, {"digit": []}])
def test_what_is_not_there_is_a_slice_too(features):
    assert names([cut("digit")], **features) == [OVERALL, f"digit={MISSING}"]
    assert names([cut("digit", digit=(5,))], **features) == [OVERALL, f"digit={MISSING}"]


@pytest.mark.parametrize(
    ("cuts", "features", "hint"),
    [
        ([cut("age")], {"age": 0.5}, "'age' is a float such as 0.5"),
        ([cut("age")], {"age": 0.5}, "give buckets={'age': …}"),
        ([cut("words")], {"words": ["a", "b"]}, "2 values of 'words' in one record"),
        ([cut("words", words=(1,))], {"words": [1, 2]}, "2 values of 'words' in one record"),
        ([cut("words", words=(1,))], {"words": "a"}, "strings in 'words'"),
    ],
)
def test_what_can_not_be_sliced_by_is_refused(cuts, features, hint):
    with pytest.raises(ExamplesError) as refused:
        names(cuts, **features)
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"features": ()}, "at least 1 item"),
        ({"features": ("age",), "buckets": {"age": ()}}, "ascending boundaries in buckets['age']"),
        ({"features": ("age",), "buckets": {"age": (2, 1)}}, "ascending boundaries"),
        ({"features": ("age",), "buckets": {"age": (1, 1)}}, "ascending boundaries"),
        ({"features": ("age",), "buckets": {"aeg": (1,)}}, "buckets for features out of age, not 'aeg'"),
    ],
)
def test_a_cut_that_means_nothing_is_refused(options, hint):
    with pytest.raises(ConfigError) as refused:
        SliceBy(**options)
    assert hint in str(refused.value)


def test_a_cut_comes_back_from_its_json():
    given_cut = cut("age", "city", age=(20, 40.5))
    assert SliceBy.from_json(given_cut.to_json()) == given_cut
