"""Whether there are enough calibration records: two halves of them must give about the same ranges.

LiteRT advises a few hundred records and leaves it at that; a range that another draw of records would move is one that
the device will exceed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from slimline.core.isolation import IsolatedError, run_isolated
from slimline.core.tflite.activations import activation_ranges
from slimline.core.tflite.flatbuffer import output_tensors
from slimline.errors import ModelError

# From this share of the range on, more records are advised.
MAX_DIFFERENCE = 0.2
_NUM_WORST = 5


@dataclass(frozen=True)
class Stability:
    """How much two disjoint halves of the records differ in the ranges that they give.

    Attributes:
      num_records: Records in both halves together.
      outputs: By output name, the larger difference of the two ends as a share of the range over all records.
      worst: The activations of the largest differences, by tensor name.
    """

    num_records: int
    outputs: Mapping[str, float]
    worst: Mapping[str, float]

    @property
    def warning(self) -> str:
        """Which range is not settled, in words; empty when all are.

        The ranges inside count as well: after a softmax every output's range is from 0 to 1.
        """
        ranges = {**self.worst, **self.outputs}
        name, share = max(ranges.items(), key=lambda item: item[1], default=("", 0.0))
        if share <= MAX_DIFFERENCE:
            return ""
        return (
            f"two halves of the {self.num_records} calibration records differ by {100 * share:.0f}% in the range of "
            f"{name!r}, over {100 * MAX_DIFFERENCE:.0f}%: sample more records"
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures for JSON."""
        return asdict(self)


def range_stability(float_content: bytes, inputs: Mapping[str, np.ndarray], time_limit_s: float) -> Stability | None:
    """Compares the ranges of even and odd records, which are random halves when the records are in order of rank.

    Args:
      float_content: The float model's `.tflite` file.
      inputs: Records by input name, each of shape (records, …).
      time_limit_s: Seconds that the model may take on all records.

    Returns:
      The figures; None for less than two records.

    Raises:
      ModelError: The model did not run to its end.
    """
    num_records = len(next(iter(inputs.values())))
    if num_records < 2:
        return None
    try:
        ranges = run_isolated(activation_ranges, float_content, inputs, time_limit_s=time_limit_s)
    except IsolatedError as error:
        raise ModelError(
            f"a float model that {error.text} on {num_records} calibration records",
            "a model that LiteRT runs",
            "sample fewer records, or replace the layer that it fails at",
        ) from error
    differences = {name: _difference(*ends) for name, ends in ranges.items()}
    worst = sorted(differences.items(), key=lambda item: -item[1])[:_NUM_WORST]
    outputs = {name: differences[tensor] for name, tensor in output_tensors(float_content).items() if tensor in ranges}
    return Stability(num_records, outputs, dict(worst))


def _difference(minima: np.ndarray, maxima: np.ndarray) -> float:
    """Leaves out records that give NaN or infinity, which another check is for."""
    halves = [(minima[start::2], maxima[start::2]) for start in (0, 1)]
    finite = [(low[np.isfinite(low + high)], high[np.isfinite(low + high)]) for low, high in halves]
    if any(not low.size for low, _ in finite):
        return 0.0
    lowest, highest = [float(low.min()) for low, _ in finite], [float(high.max()) for _, high in finite]
    whole = max(highest) - min(lowest)
    if whole == 0:
        return 0.0
    return max(abs(lowest[0] - lowest[1]), abs(highest[0] - highest[1])) / whole
