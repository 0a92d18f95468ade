"""How far a model's outputs are from those of the float model, on the same records."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slimline.core.tflite.activations import decibels


@dataclass(frozen=True)
class OutputComparison:
    """One output of two models.

    Attributes:
      agreement: Share of decisions that are the same, in [0, 1]: of the largest score among several, or of a single
        probability on the same side of one half. None for an output that decides nothing.
      sqnr_db: Signal-to-quantization-noise ratio in dB; infinite when both are equal.
      max_abs_error: Largest difference.
    """

    agreement: float | None
    sqnr_db: float
    max_abs_error: float


def compare_outputs(
    reference: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]
) -> dict[str, OutputComparison]:
    """Compares outputs by name.

    Args:
      reference: Of the float model, each of shape (records, …).
      given: Of the other model, of the same shapes.
    """
    return {name: _compare(np.asarray(values, np.float64), given[name]) for name, values in reference.items()}


def worst_agreement(outputs: Mapping[str, OutputComparison]) -> float | None:
    """Returns the smallest agreement of all outputs that decide something; None when there is none."""
    return min((output.agreement for output in outputs.values() if output.agreement is not None), default=None)


def worst_sqnr_db(outputs: Mapping[str, OutputComparison]) -> float:
    """Returns the smallest ratio of all outputs, in dB."""
    return min(output.sqnr_db for output in outputs.values())


def _compare(reference: np.ndarray, given: np.ndarray) -> OutputComparison:
    difference = given.astype(np.float64) - reference
    return OutputComparison(
        _agreement(reference, given),
        decibels(float(np.square(reference).sum()), float(np.square(difference).sum())),
        float(np.abs(difference).max(initial=0)),
    )


def _agreement(reference: np.ndarray, given: np.ndarray) -> float | None:
    if reference.ndim > 1 and reference.shape[-1] > 1:
        return float((reference.argmax(-1) == given.argmax(-1)).mean())
    is_probability = reference.size > 0 and reference.min() >= 0 and reference.max() <= 1
    return float(((reference >= 0.5) == (given >= 0.5)).mean()) if is_probability else None
