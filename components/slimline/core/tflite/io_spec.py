"""What the code on a device has to know of a `.tflite` file's inputs and outputs.

An int8 file takes `clip(round(x / scale) + zero_point)`, not a cast of x: that mistake is the most frequent one
(tensorflow/tensorflow#41697, #40477, mlcommons/tiny#140).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from slimline.core.tflite.flatbuffer import End, signature_ends
from slimline.names import schema_versions


def describe_ends(
    content: bytes,
    *,
    inputs: Mapping[str, np.ndarray],
    features: Mapping[str, str],
    preprocessing: str,
    label_names: Sequence[str],
) -> dict[str, Any]:
    """Returns the content of `io_spec.json`.

    Args:
      content: Bytes of the file.
      inputs: Records that it was tried on, by input name: their range is what the model expects to see.
      features: The feature that feeds each input, as far as it is known.
      preprocessing: What has to be done to a feature before, in words.
      label_names: Names of the classes in their order; empty when unknown.
    """
    given, made = signature_ends(content)
    return {
        "schema_version": schema_versions.IO_SPEC,
        "inputs": [
            {**_describe(end), "feature": features.get(end.name), "observed": _range(inputs.get(end.name))}
            for end in given
        ],
        "outputs": [_describe(end) for end in made],
        "preprocessing": preprocessing,
        "label_names": list(label_names),
        "stored": "stored = clip(round(real / scale) + zero_point)",
        "real": "real = (stored - zero_point) * scale",
    }


def _describe(end: End) -> dict[str, Any]:
    return {**asdict(end), "shape": list(end.shape)}


def _range(values: np.ndarray | None) -> dict[str, float] | None:
    if values is None or not values.size or not np.issubdtype(values.dtype, np.number):
        return None
    finite = values[np.isfinite(values)]
    return {"min": float(finite.min()), "max": float(finite.max())} if finite.size else None
