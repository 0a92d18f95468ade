"""The base of every configuration object: frozen, strict, one canonical JSON string."""

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from slimline.errors import ConfigError, near_miss


class Config(BaseModel):
    """A configuration that can't change and takes no unknown option.

    A mistake raises `ConfigError` where the object is made, which is when the pipeline is built.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise _explain(type(self), error) from None

    def to_json(self) -> str:
        """Returns the canonical JSON: sorted keys, defaults written out, so that equal objects give equal strings."""
        return json.dumps(_without_negative_zero(self.model_dump(mode="json")), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
          ConfigError: The text is no JSON object, or not one of this configuration.
        """
        try:
            options = json.loads(text)
        # JSONDecodeError, or a number with more digits than Python reads.
        except ValueError as error:
            raise ConfigError(f"{cls.__name__} given as {text!r}", "a JSON object", str(error)) from None
        if not isinstance(options, dict):
            raise ConfigError(f"{cls.__name__} given as {text!r}", "a JSON object", "write it with to_json()")
        return cls(**options)


def _without_negative_zero(value: Any) -> Any:
    """Writes -0.0 as 0.0, which it equals: equal objects give equal strings."""
    if isinstance(value, dict):
        return {key: _without_negative_zero(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_negative_zero(inner) for inner in value]
    return value + 0.0 if isinstance(value, float) else value


def _explain(config: type[Config], error: ValidationError) -> ConfigError:
    """Turns all of pydantic's findings into one message: every mistake at once, each with its near miss."""
    found, expected, remedy = [], [], []
    for mistake in error.errors():
        place = ".".join(str(part) for part in mistake["loc"])
        value = mistake["input"]
        if mistake["type"] == "extra_forbidden":
            known = sorted(config.model_fields)
            found.append(f"unknown option {place!r} of {config.__name__}")
            expected.append("one of " + ", ".join(known))
            remedy.append(f"correct or remove {place!r}.{near_miss(place, known)}")
        elif mistake["type"] == "missing":
            found.append(f"{config.__name__} without {place!r}")
            expected.append(f"a value for {place!r}")
            remedy.append(f"give {place}=...")
        elif not place:
            # A rule on several options together.
            found.append(f"{config.__name__} with {_given(value)}")
            expected.append(mistake["msg"].removeprefix("Value error, "))
            remedy.append(f"change the options of {config.__name__}.")
        else:
            found.append(f"{config.__name__}.{place} = {value!r}")
            expected.append(mistake["msg"].removeprefix("Value error, "))
            known = mistake.get("ctx", {}).get("expected", "")
            choices = [choice.strip(" '") for choice in str(known).replace(" or ", ",").split(",")]
            remedy.append(f"change {place}.{near_miss(str(value), choices)}")
    return ConfigError("; ".join(found), "; ".join(expected), " ".join(remedy))


def _given(options: Any) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items()) if isinstance(options, dict) else "these"
