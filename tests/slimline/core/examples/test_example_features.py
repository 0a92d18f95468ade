import math

import pytest

from slimline.core.examples.example_features import example_parser, numbers_of, require_values, stratum_of, values_of
from slimline.errors import ExamplesError
from tests.records import tf_example

parse = example_parser()
RECORD = tf_example(ints=[1, 2], floats=[0.5], texts=["a", b"\xff"], nothing=[])


@pytest.mark.parametrize(
    ("name", "values"),
    [("ints", [1, 2]), ("floats", [0.5]), ("texts", [b"a", b"\xff"]), ("nothing", []), ("other", [])],
)
def test_the_values_of_a_feature_are_read_without_a_schema(name, values):
    assert values_of(parse(RECORD), name) == values


def test_looking_for_a_feature_does_not_add_it():
    example = parse(RECORD)
    values_of(example, "other")
    assert "other" not in example.features.feature


def test_a_feature_of_no_kind_has_no_values():
    example = parse(RECORD)
    example.features.feature["bare"].SetInParent()
    assert values_of(example, "bare") == []


def test_the_empty_record_is_an_example_without_features():
    assert values_of(parse(b""), "ints") == []


@pytest.mark.parametrize("record", [b"label,pixel\n", b"\xff" * 50, RECORD[:-1]])
def test_a_record_that_is_no_example_is_refused_with_its_beginning(record):
    with pytest.raises(ExamplesError, match=r"a record that is no tf\.Example") as refused:
        parse(record)
    assert repr(record[:20]) in refused.value.found
    assert len(refused.value.found) < 150


def test_required_values_are_those_of_the_feature():
    assert require_values(parse(RECORD), "ints", "strata") == [1, 2]


@pytest.mark.parametrize("name", ["int", "nothing"])
def test_a_missing_feature_is_named_with_its_purpose_and_the_nearest_that_is_there(name):
    with pytest.raises(ExamplesError) as refused:
        require_values(parse(RECORD), name, "strata")
    assert refused.value.found == f"a record without a value of {name!r}, which is wanted for strata"
    assert "this one has floats, ints, nothing, texts" in refused.value.expected
    assert ("Did you mean 'ints'?" in refused.value.remedy) == (name == "int")


def test_a_record_without_features_is_said_to_have_none():
    with pytest.raises(ExamplesError, match="this one has none"):
        require_values(parse(b""), "digit", "strata")


@pytest.mark.parametrize(
    ("value", "stratum"), [(3, "3"), (-1, "-1"), (b"cat", "cat"), ("straße".encode(), "straße"), (b"\xff", "\\xff")]
)
def test_a_stratum_is_named_after_the_value(value, stratum):
    assert stratum_of([value], "label") == stratum


@pytest.mark.parametrize(
    ("values", "found"), [([0.5], "a float of 'label'"), ([1, 2], "2 values of 'label'"), ([], "0 values of 'label'")]
)
def test_what_makes_no_stratum_is_refused(values, found):
    with pytest.raises(ExamplesError, match="one integer or string per record") as refused:
        stratum_of(values, "label")
    assert refused.value.found.startswith(found)


def test_numbers_leave_nan_out_and_keep_infinity():
    assert numbers_of([1, 0.5, math.nan, math.inf, -math.inf], "age") == [1.0, 0.5, math.inf, -math.inf]
    assert numbers_of([math.nan], "age") == []


def test_strings_have_no_extremes():
    with pytest.raises(ExamplesError, match="strings in 'name'"):
        numbers_of([b"a"], "name")
