"""What is in a calibration sample, and what would make it a bad one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from slimline.core.examples.example_features import example_parser, values_of
from slimline.errors import ExamplesError


@dataclass(frozen=True)
class FeatureStatistics:
    """One feature of the sampled records, or one input that was made of them.

    Attributes:
      dtype: `int`, `float` or `bytes`; of an input the NumPy type.
      num_missing: Records without a value.
      num_values: Fewest and most values in a record that has some.
      minimum: Smallest finite number; None for strings.
      maximum: Largest finite number; None for strings.
      num_non_finite: Records with NaN or infinity.
      is_constant: Whether all records hold the same values, in two records or more.
    """

    dtype: str
    num_missing: int
    num_values: tuple[int, int]
    minimum: float | None
    maximum: float | None
    num_non_finite: int
    is_constant: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures for JSON."""
        return asdict(self)


def describe_features(records: Sequence[bytes]) -> dict[str, FeatureStatistics]:
    """Returns statistics of every feature in serialized tf.Examples.

    Raises:
      ExamplesError: A record is no tf.Example, or a feature is a number in one record and a string in another.
    """
    parse = example_parser()
    examples = [parse(record) for record in records]
    names = sorted({name for example in examples for name in example.features.feature})
    described = {}
    for name in names:
        listed = [values_of(example, name) for example in examples]
        if len({isinstance(values[0], bytes) for values in listed if values}) > 1:
            raise ExamplesError(
                f"numbers in {name!r} of some records and strings in that of others",
                "one kind of values in a feature",
                "correct the data; ExampleValidator lists the anomalies",
            )
        described[name] = _describe(listed)
    return described


def describe_inputs(inputs: Mapping[str, np.ndarray]) -> dict[str, FeatureStatistics]:
    """Returns statistics of a model's inputs.

    Args:
      inputs: By name, each of shape (records, …).
    """
    described = {}
    for name, values in inputs.items():
        statistics = _describe([list(np.ravel(record)) for record in values])
        described[name] = FeatureStatistics(**{**statistics.to_dict(), "dtype": values.dtype.name})
    return described


def non_finite(statistics: Mapping[str, FeatureStatistics]) -> list[str]:
    """Returns, in words, where NaN or infinity is."""
    return [
        f"NaN or infinity in {name!r} of {feature.num_non_finite} record(s)"
        for name, feature in statistics.items()
        if feature.num_non_finite
    ]


def constant(statistics: Mapping[str, FeatureStatistics]) -> list[str]:
    """Returns, in words, what is the same in all records."""
    return [
        f"{name!r} is the same in all records: {_constant_value(feature)}"
        for name, feature in statistics.items()
        if feature.is_constant
    ]


def _constant_value(feature: FeatureStatistics) -> str:
    if feature.minimum is not None:
        return f"{feature.minimum}"
    return "NaN or infinity" if feature.num_non_finite else "a string"


def _describe(records: Sequence[list[Any]]) -> FeatureStatistics:
    present = [values for values in records if values]
    sizes = [len(values) for values in present]
    first = present[0][0] if present else None
    is_text = isinstance(first, bytes | str)
    # Values equal to themselves alone: NaN would make every record differ.
    same = all(np.array_equal(values, present[0], equal_nan=not is_text) for values in present[1:])
    is_constant = len(present) == len(records) > 1 and same
    size_range = (min(sizes, default=0), max(sizes, default=0))
    if is_text or first is None:
        kind = "bytes" if is_text else "none"
        return FeatureStatistics(kind, len(records) - len(present), size_range, None, None, 0, is_constant)
    arrays = [np.asarray(values, np.float64) for values in present]
    finite = [array[np.isfinite(array)] for array in arrays]
    numbers = np.concatenate(finite)
    return FeatureStatistics(
        "int" if isinstance(first, int | np.integer) else "float",
        len(records) - len(present),
        size_range,
        float(numbers.min()) if numbers.size else None,
        float(numbers.max()) if numbers.size else None,
        sum(array.size > kept.size for array, kept in zip(arrays, finite, strict=True)),
        is_constant,
    )
