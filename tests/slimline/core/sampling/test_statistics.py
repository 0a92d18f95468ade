import json
import math

import numpy as np
import pytest

from slimline.core.sampling.statistics import (
    FeatureStatistics,
    constant,
    describe_features,
    describe_inputs,
    non_finite,
)
from slimline.errors import ExamplesError
from tests.records import tf_example

RECORDS = [
    tf_example(age=3, height=[0.5, 1.5], name="a", place="x"),
    tf_example(age=-7, height=[math.nan, 2.5, 4.0], name=["a", "b"], place="x"),
    tf_example(age=5, height=[math.inf], place="x", rare=1),
]


def test_features_are_described():
    assert describe_features(RECORDS) == {
        "age": FeatureStatistics("int", 0, (1, 1), -7.0, 5.0, 0, False),
        "height": FeatureStatistics("float", 0, (1, 3), 0.5, 4.0, 2, False),
        "name": FeatureStatistics("bytes", 1, (1, 2), None, None, 0, False),
        "place": FeatureStatistics("bytes", 0, (1, 1), None, None, 0, True),
        "rare": FeatureStatistics("int", 2, (1, 1), 1.0, 1.0, 0, False),
    }


def test_statistics_are_plain_json():
    described = {name: feature.to_dict() for name, feature in describe_features(RECORDS).items()}
    assert json.loads(json.dumps(described, allow_nan=False))["age"]["maximum"] == 5


def test_a_feature_without_any_value_is_missing_in_all_records():
    described = describe_features([tf_example(age=[]), tf_example(age=[])])
    assert described == {"age": FeatureStatistics("none", 2, (0, 0), None, None, 0, False)}


def test_no_records_have_no_features():
    assert describe_features([]) == {}


def test_a_record_that_is_no_example_is_refused():
    with pytest.raises(ExamplesError, match=r"no tf\.Example"):
        describe_features([b"text"])


@pytest.mark.parametrize(
    ("values", "is_constant"),
    [
        ([[1], [1]], True),
        ([[1], [2]], False),
        ([[1]], False),
        ([[1], [1], []], False),
        ([[1], [1, 1]], False),
        ([[0.5, 1.5], [0.5, 1.5]], True),
        ([[2**53], [2**53 + 1]], False),
        ([["a"], ["a"]], True),
        ([["a"], ["b"]], False),
        ([[math.nan], [math.nan]], True),
        ([[math.nan, 1.0], [math.nan, 2.0]], False),
        ([[0.0], [-0.0]], True),
    ],
)
def test_constant_is_what_two_records_or_more_all_have_alike(values, is_constant):
    described = describe_features([tf_example(feature=each) for each in values])
    assert described["feature"].is_constant == is_constant


def test_what_is_constant_is_told_with_its_value():
    described = describe_features([tf_example(age=3, name="a", height=0.5), tf_example(age=3, name="a", height=1.0)])
    assert constant(described) == [
        "'age' is the same in all records: 3.0",
        "'name' is the same in all records: a string",
    ]


def test_what_is_not_finite_is_told_with_the_number_of_records():
    assert non_finite(describe_features(RECORDS)) == ["NaN or infinity in 'height' of 2 record(s)"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_feature_without_any_finite_number_has_no_range(value):
    described = describe_features([tf_example(age=[value, value]), tf_example(age=[value])])["age"]
    assert (described.minimum, described.maximum, described.num_non_finite) == (None, None, 2)


def test_inputs_are_described_with_their_types():
    inputs = {
        "image": np.array([[[0.0, 1.0]], [[np.nan, -2.0]]], np.float32),
        "tokens": np.array([[1, 2], [1, 2]], np.int32),
        "flag": np.array([[True], [False]]),
        "text": np.array([[b"a"], [b"b"]], object),
    }
    assert describe_inputs(inputs) == {
        "image": FeatureStatistics("float32", 0, (2, 2), -2.0, 1.0, 1, False),
        "tokens": FeatureStatistics("int32", 0, (2, 2), 1.0, 2.0, 0, True),
        "flag": FeatureStatistics("bool", 0, (1, 1), 0.0, 1.0, 0, False),
        "text": FeatureStatistics("object", 0, (1, 1), None, None, 0, False),
    }
