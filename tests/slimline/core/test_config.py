import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from slimline.core.config import Config
from slimline.errors import ConfigError


class Inner(Config):
    number: float = 0.5


class Outer(Config):
    name: str
    kind: Literal["first", "second"] = "first"
    size: int | None = Field(default=None, ge=1)
    parts: tuple[Inner, ...] = ()
    table: dict[str, str] = Field(default_factory=dict)


class Range(Config):
    lowest: float = 0.0
    highest: float = 1.0

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if self.lowest > self.highest:
            raise ValueError("lowest under highest")
        return self


class Ranges(Config):
    one: Range = Range()


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
OPTIONS = st.fixed_dictionaries(
    {"name": st.text()},
    optional={
        "kind": st.sampled_from(["first", "second"]),
        "size": st.none() | st.integers(1),
        "parts": st.lists(NUMBERS.map(lambda number: Inner(number=number))).map(tuple),
        "table": st.dictionaries(st.text(), st.text()),
    },
)


@given(OPTIONS)
def test_a_configuration_comes_back_from_its_json(options):
    config = Outer(**options)
    assert Outer.from_json(config.to_json()) == config


@given(OPTIONS, OPTIONS)
def test_equal_objects_have_equal_strings_and_others_do_not(options, others):
    one, other = Outer(**options), Outer(**others)
    assert (one.to_json() == other.to_json()) == (one == other)


def test_a_negative_zero_is_written_like_the_zero_that_it_equals():
    assert Range(lowest=-0.0).to_json() == Range(lowest=0.0).to_json() == '{"highest":1.0,"lowest":0.0}'
    inner = (Inner(number=-0.0),)
    assert Outer(name="x", parts=inner).to_json() == Outer(name="x", parts=(Inner(number=0),)).to_json()


@given(OPTIONS)
def test_the_order_of_options_and_of_tables_does_not_matter(options):
    turned = {name: options[name] for name in reversed(options)}
    table = options.get("table", {})
    turned["table"] = {name: table[name] for name in reversed(table)}
    assert Outer(**turned).to_json() == Outer(**options).to_json()


def test_the_json_is_canonical_with_defaults_written_out():
    text = Outer(name="é", parts=(Inner(number=1),), table={"b": "2", "a": "1"}).to_json()
    assert text == (r'{"kind":"first","name":"\u00e9","parts":[{"number":1.0}],"size":null,"table":{"a":"1","b":"2"}}')
    assert json.loads(text) == json.loads(
        Outer(name="é", parts=[{"number": 1.0}], table={"a": "1", "b": "2"}).to_json()
    )


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"nam": "x"}, "Did you mean 'name'"),
        ({"name": "x", "sise": 1}, "Did you mean 'size'"),
        ({"name": "x", "kind": "secnd"}, "Did you mean 'second'"),
        ({"name": "x", "parts": [{"nubmer": 1}]}, "Did you mean 'number'"),
        ({"name": "x", "color": "red"}, "one of kind, name, parts, size, table"),
        ({"kind": "first"}, "Outer without 'name'"),
        ({"name": "x", "size": 0}, "Outer.size = 0"),
        ({"name": "x", "size": 1.5}, "Outer.size = 1.5"),
        ({"name": "x", "parts": [{"number": float("nan")}]}, "Inner.number = nan"),
        ({"name": "x", "parts": [{"number": float("inf")}]}, "Inner.number = inf"),
        ({"name": 3}, "Outer.name = 3"),
        ({"name": "x", "self": 1}, "unknown option 'self'"),
        ({"name": "x", "parts": [{"cls": 1}]}, "unknown option 'cls'"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(options, hint):
    for make in (lambda: Outer(**options), lambda: Outer.from_json(json.dumps(options))):
        with pytest.raises(ConfigError) as refused:
            make()
        assert hint in str(refused.value)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as refused:
        Outer.from_json('{"size": 0, "kind": "frist", "sise": 1}')
    for mistake in ("without 'name'", "size = 0", "kind = 'frist'", "unknown option 'sise'"):
        assert mistake in refused.value.found


def test_a_mistake_over_several_options_tells_them_all():
    with pytest.raises(ConfigError) as refused:
        Range(lowest=2)
    assert (refused.value.found, refused.value.expected) == ("Range with lowest=2", "lowest under highest")
    with pytest.raises(ConfigError) as refused:
        Ranges.from_json('{"one": {"lowest": 5, "highest": 3.5}}')
    assert "lowest=5, highest=3.5" in refused.value.found
    for text in (refused.value.found, refused.value.expected, refused.value.remedy):
        assert "Value error" not in text
        assert not any(f"{name}.{name}" in text for name in ("Range", "Ranges"))


@pytest.mark.parametrize(
    "text",
    ["", "name=x", "[]", "null", '"name"', '{"name": "x"', "{'name': 'x'}", f'{{"name": "x", "size": {"9" * 5000}}}'],
    ids=lambda text: text[:20],
)
def test_text_that_is_no_json_object_is_refused(text):
    with pytest.raises(ConfigError, match="a JSON object"):
        Outer.from_json(text)


def test_a_configuration_can_not_be_changed():
    config = Outer(name="x")
    with pytest.raises(ValidationError, match="frozen"):
        config.name = "y"  # type: ignore[misc]
    assert config.name == "x"
