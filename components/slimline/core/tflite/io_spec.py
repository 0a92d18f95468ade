"""What the code on a device has to know of a `.tflite` file's inputs and outputs.

An int8 file takes `clip(round(x / scale) + zero_point)`, not a cast of x: that mistake is the most frequent one
(tensorflow/tensorflow#41697, #40477, mlcommons/tiny#140).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from slimline.core.tflite.flatbuffer import End, keeps_state, signature_ends
from slimline.names import schema_versions


@dataclass(frozen=True)
class InputEnd(End):
    """An input, and what is known of the values that it expects.

    Attributes:
      feature: The feature that feeds it; None when that is not known.
      observed: Smallest and largest value of the records that the file was tried on; None without such.
    """

    feature: str | None
    observed: tuple[float, float] | None


@dataclass(frozen=True)
class IoSpec:
    """The content of `io_spec.json`.

    Attributes:
      inputs: Sorted by name.
      outputs: Sorted by name.
      preprocessing: What has to be done to a feature before, in words.
      label_names: Names of the classes in their order; empty when unknown.
      reset_state: Whether the app must call `reset_all_variables` before each example, as it was when it was judged.
    """

    inputs: tuple[InputEnd, ...]
    outputs: tuple[End, ...]
    preprocessing: str
    label_names: tuple[str, ...]
    reset_state: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns it for JSON, with the formulas from stored to real values and back."""
        return {
            "schema_version": schema_versions.IO_SPEC,
            "inputs": [_describe_input(end) for end in self.inputs],
            "outputs": [_describe(end) for end in self.outputs],
            "preprocessing": self.preprocessing,
            "label_names": list(self.label_names),
            "reset_state": self.reset_state,
            "stored": "stored = clip(round(real / scale) + zero_point)",
            "real": "real = (stored - zero_point) * scale",
        }


def describe_ends(
    content: bytes,
    *,
    inputs: Mapping[str, np.ndarray],
    features: Mapping[str, str],
    preprocessing: str,
    label_names: Sequence[str],
) -> IoSpec:
    """Describes the ends of a file.

    Args:
      content: Bytes of the file.
      inputs: Records that it was tried on, by input name: their range is what the model expects to see.
      features: The feature that feeds each input, as far as it is known.
      preprocessing: What has to be done to a feature before, in words.
      label_names: Names of the classes in their order; empty when unknown.
    """
    given, made = signature_ends(content)
    described = [
        InputEnd(
            **{part.name: getattr(end, part.name) for part in fields(end)},
            feature=features.get(end.name),
            observed=_range(inputs.get(end.name)),
        )
        for end in given
    ]
    return IoSpec(tuple(described), made, preprocessing, tuple(label_names), keeps_state(content))


def _describe_input(end: InputEnd) -> dict[str, Any]:
    observed = None if end.observed is None else dict(zip(("min", "max"), end.observed, strict=True))
    return {**_describe(end), "observed": observed}


def _describe(end: End) -> dict[str, Any]:
    return {**asdict(end), "shape": list(end.shape)}


def _range(values: np.ndarray | None) -> tuple[float, float] | None:
    if values is None or not values.size or not np.issubdtype(values.dtype, np.number):
        return None
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else None
