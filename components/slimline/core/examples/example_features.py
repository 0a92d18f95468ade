"""Reads single features out of serialized tf.Examples, without a schema."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from slimline.errors import ExamplesError, near_miss

Parse: TypeAlias = Callable[[bytes], Any]


def example_parser() -> Parse:
    """Returns a function from a serialized record to a `tf.train.Example`.

    TensorFlow is imported when it is called: workers that only copy records start in a fraction of the time without.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    def parse(record: bytes) -> Any:
        try:
            return example_pb2.Example.FromString(record)
        except DecodeError:
            raise ExamplesError(
                f"a record that is no tf.Example: {record[:20]!r}",
                "tf.Examples in TFRecord files",
                "let the ExampleGen write tf.Examples",
            ) from None

    return parse


def values_of(example: Any, name: str) -> list[Any]:
    """Returns the values of a feature: integers, floats or bytes; none when the example does not have it."""
    feature = example.features.feature.get(name)
    if feature is None or feature.WhichOneof("kind") is None:
        return []
    return list(getattr(feature, feature.WhichOneof("kind")).value)


def require_values(example: Any, name: str, purpose: str) -> list[Any]:
    """Returns the values of a feature that has to be there.

    Raises:
      ExamplesError: The example does not have it; the message names the nearest that it has.
    """
    values = values_of(example, name)
    if not values:
        known = sorted(example.features.feature)
        raise ExamplesError(
            f"a record without a value of {name!r}, which is wanted for {purpose}",
            "the feature in every record; this one has " + (", ".join(known) or "none"),
            f"correct the name, or leave such records out.{near_miss(name, known)}",
        )
    return values


def stratum_of(values: Iterable[Any], name: str) -> str:
    """Returns the name of the stratum that a feature's value makes.

    Raises:
      ExamplesError: There are several values, or one of a type that has no few, distinct values.
    """
    listed = list(values)
    if len(listed) != 1 or isinstance(listed[0], float):
        found = f"{len(listed)} values" if len(listed) != 1 else "a float"
        raise ExamplesError(
            f"{found} of {name!r} in a record", "one integer or string per record", "choose another feature for strata"
        )
    (value,) = listed
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def numbers_of(values: Iterable[Any], name: str) -> list[float]:
    """Returns a feature's values without NaN.

    Raises:
      ExamplesError: They are strings.
    """
    listed = list(values)
    if any(isinstance(value, bytes) for value in listed):
        raise ExamplesError(f"strings in {name!r}", "numbers", "choose another feature for extremes")
    return [float(value) for value in listed if value == value]
