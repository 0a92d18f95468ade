"""Parts of the data that are judged on their own: by the value of a feature, of several, or by ranges of numbers."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from slimline.core.config import Config
from slimline.core.examples.example_features import values_of
from slimline.errors import ExamplesError

OVERALL = "overall"
MISSING = "(missing)"


class SliceBy(Config):
    """One way to cut the data.

    Attributes:
      features: One feature, or several to be crossed: each combination of their values is a slice.
      buckets: For features of numbers, ascending boundaries: (20, 40) gives below 20, from 20 to below 40, from 40 on.
    """

    features: tuple[str, ...] = Field(min_length=1)
    buckets: dict[str, tuple[float, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "SliceBy":
        unknown = sorted(set(self.buckets) - set(self.features))
        if unknown:
            raise ValueError(f"buckets for features out of {', '.join(self.features)}, not {unknown[0]!r}")
        for name, boundaries in self.buckets.items():
            if not boundaries or list(boundaries) != sorted(set(boundaries)):
                raise ValueError(f"ascending boundaries in buckets[{name!r}]")
        return self


def slice_names(example: Any, cuts: Sequence[SliceBy]) -> list[str]:
    """Returns the slices that an example belongs to, `overall` first.

    Args:
      example: A `tf.train.Example`.
      cuts: How the data is cut.

    Raises:
      ExamplesError: A feature has several values, or is a float without buckets.
    """
    return [OVERALL, *(", ".join(_part(example, name, cut) for name in cut.features) for cut in cuts)]


def _part(example: Any, name: str, cut: SliceBy) -> str:
    values = values_of(example, name)
    if not values:
        return f"{name}={MISSING}"
    if len(values) > 1:
        raise ExamplesError(
            f"{len(values)} values of {name!r} in one record", "one value to slice by", "choose another"
        )
    (value,) = values
    if name in cut.buckets:
        return f"{name} {_bucket(value, name, cut.buckets[name])}"
    if isinstance(value, float):
        raise ExamplesError(
            f"{name!r} is a float such as {value:g}",
            "whole numbers or strings to slice by",
            f"give buckets={{'{name}': …}}",
        )
    return f"{name}={value.decode(errors='backslashreplace') if isinstance(value, bytes) else value}"


def _bucket(value: Any, name: str, boundaries: Sequence[float]) -> str:
    if isinstance(value, bytes):
        raise ExamplesError(f"strings in {name!r}", "numbers, which buckets are for", "leave its buckets out")
    if math.isnan(value):
        return "is NaN"
    place = bisect_right(boundaries, value)
    if place == 0:
        return f"< {_name(boundaries[0])}"
    if place == len(boundaries):
        return f">= {_name(boundaries[-1])}"
    return f"in [{_name(boundaries[place - 1])}, {_name(boundaries[place])})"


def _name(boundary: float) -> str:
    # Six digits would give the days 20230101 and 20230102 one name.
    return f"{boundary:.15g}"
