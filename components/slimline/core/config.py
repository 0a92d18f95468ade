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

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise _explain(type(self), error) from None

    def to_json(self) -> str:
        """Returns the canonical JSON: sorted keys, defaults written out, so that equal objects give equal strings."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
          ConfigError: The text is no JSON object, or not one of this configuration.
        """
        try:
            options = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{cls.__name__} given as {text!r}", "a JSON object", str(error)) from None
        if not isinstance(options, dict):
            raise ConfigError(f"{cls.__name__} given as {text!r}", "a JSON object", "write it with to_json()")
        return cls(**options)


def _explain(config: type[Config], error: ValidationError) -> ConfigError:
    """Turns all of pydantic's findings into one message: every mistake at once, each with its near miss."""
    found, expected, remedy = [], [], []
    for mistake in error.errors():
        place = ".".join(str(part) for part in mistake["loc"]) or config.__name__
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
        else:
            found.append(f"{config.__name__}.{place} = {value!r}")
            expected.append(mistake["msg"])
            known = mistake.get("ctx", {}).get("expected", "")
            choices = [choice.strip(" '") for choice in str(known).replace(" or ", ",").split(",")]
            remedy.append(f"change {place}.{near_miss(str(value), choices)}")
    return ConfigError("; ".join(found), "; ".join(expected), " ".join(remedy))
