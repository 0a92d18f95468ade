"""Microcontrollers with TFLite Micro, which is really run here, on several examples, against LiteRT.

TFLite Micro's kernels are made after LiteRT's reference kernels, and are compared with those. XNNPACK, which runs a
file on a CPU, rounds elsewhere: on a ResNet-8, 35 to 52% of the outputs were more than one step away from it, with the
same class in 59 of 60 images, and 0 to 3% from the reference kernels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slimline.core.isolation import IsolatedError, run_isolated
from slimline.core.targets.micro_resolver import resolver_lines
from slimline.core.targets.micro_run import Kernels, run_in_litert, run_in_micro
from slimline.core.targets.report import TargetReport, place, summarize
from slimline.core.tflite.graph import Operator, read_operators
from slimline.errors import ModelError

_TIME_LIMIT_S = 300
# One step of the output's type: kernels may round differently in the last bit.
_MAX_STEPS = 1
# Of the largest output, for files that compute in floats.
_MAX_FLOAT_ERROR = 1e-4
# Above the 3% that good models showed, below the 35% of kernels that round elsewhere.
_MAX_SHARE = 0.05
_MAX_EXAMPLES = 32


@dataclass(frozen=True)
class Difference:
    """How far TFLite Micro's outputs are from LiteRT's.

    Attributes:
      num_examples: Examples that both ran.
      max_steps: Largest difference in steps of the output's type; None where all outputs are computed in floats.
      max_real: Largest difference in real units.
      share_over: Share of the values that differ by more than one step, or, in floats, by more than 0.0001 of the
        largest.
      decision_agreement: Share of the examples whose largest score is at the same place, or at one that LiteRT puts
        within a step of the largest; None where no output has several scores.
    """

    num_examples: int
    max_steps: int | None
    max_real: float
    share_over: float
    decision_agreement: float | None


def judge(content: bytes, examples: Mapping[str, np.ndarray] | None = None) -> TargetReport:
    """Runs a file in TFLite Micro, compares its outputs with LiteRT's and reports what the firmware needs.

    Args:
      content: Bytes of a `.tflite` file.
      examples: Real values by input name, each of shape (examples, …), of which the first 32 are run; one example of
        zeros when left out.

    Raises:
      ConfigError: TFLite Micro is not installed.
    """
    operators = read_operators(content)
    few = {name: values[:_MAX_EXAMPLES] for name, values in (examples or {}).items()}
    try:
        wanted, kernels = _run_reference(content, few)
        found: dict[str, Any] = run_isolated(run_in_micro, content, wanted["inputs"], time_limit_s=_TIME_LIMIT_S)
    except IsolatedError as error:
        last = error.output.splitlines()[-1:]
        return _report(operators, f"TFLite Micro {error.text}{f': {last[0]}' if last else ''}")
    except ModelError as error:
        return _report(operators, error.found)
    difference = compare(wanted["outputs"], found["outputs"], wanted["steps"])
    return replace(
        _report(operators, _objection(difference)),
        arena_bytes=found["arena_bytes"],
        max_difference=difference.max_steps,
        details={
            "max_difference_real": difference.max_real,
            "num_examples": difference.num_examples,
            "share_over_one_step": difference.share_over,
            "decision_agreement": difference.decision_agreement,
            "compared_with": f"LiteRT's {kernels} kernels",
            "flash_bytes": len(content),
            "resolver": list(resolver_lines(operators)),
        },
    )


def _run_reference(content: bytes, examples: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], Kernels]:
    """Runs the reference kernels, or the optimized ones where those lack one or abort, as they do on some models."""
    try:
        return run_isolated(
            run_in_litert, content, dict(examples), "reference", time_limit_s=_TIME_LIMIT_S
        ), "reference"
    except (IsolatedError, ModelError):
        return run_isolated(
            run_in_litert, content, dict(examples), "optimized", time_limit_s=_TIME_LIMIT_S
        ), "optimized"


def compare(wanted: Sequence[np.ndarray], given: Sequence[np.ndarray], steps: Sequence[float]) -> Difference:
    """Compares outputs.

    Args:
      wanted: LiteRT's, in the file's own types, each of shape (examples, …).
      given: TFLite Micro's, likewise.
      steps: What a step of each is in real units; 0 for outputs that are computed in floats.
    """
    max_steps: int | None = None
    max_real, num_over, num_values = 0.0, 0, 0
    agrees: np.ndarray | None = None
    for reference, output, step in zip(wanted, given, steps, strict=True):
        # In steps where there are any, whatever type the file ends in.
        unit = 1.0 if np.issubdtype(reference.dtype, np.integer) else step or 1.0
        ours, theirs = reference.astype(np.float64) / unit, output.astype(np.float64) / unit
        apart = np.abs(ours - theirs)
        tolerance = _MAX_STEPS + 1e-3 if step else _MAX_FLOAT_ERROR * max(1.0, float(np.abs(ours).max(initial=0)))
        num_over += int((apart > tolerance).sum())
        num_values += apart.size
        largest = float(apart.max(initial=0))
        max_real = max(max_real, largest * (step or 1.0))
        if step:
            max_steps = max(max_steps or 0, round(largest))
        if ours.ndim > 1 and ours.shape[-1] > 1:
            same = _same_decision(ours, theirs, tolerance)
            agrees = same if agrees is None else agrees & same
    agreement = None if agrees is None else float(agrees.mean())
    return Difference(len(wanted[0]), max_steps, max_real, num_over / max(1, num_values), agreement)


def _same_decision(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns for each example whether the other's largest score is, at every position, as good as the largest here."""
    chosen = np.take_along_axis(ours, theirs.argmax(axis=-1)[..., np.newaxis], axis=-1)[..., 0]
    return (ours.max(axis=-1) - chosen <= tolerance).reshape(len(ours), -1).all(axis=1)


def _objection(difference: Difference) -> str:
    if difference.decision_agreement is not None and 1 - difference.decision_agreement > _MAX_SHARE:
        return (
            f"it decides otherwise than LiteRT in {1 - difference.decision_agreement:.1%} of "
            f"{difference.num_examples} example(s), over {_MAX_SHARE:.0%}"
        )
    if difference.share_over > _MAX_SHARE and difference.decision_agreement is None:
        return (
            f"{difference.share_over:.1%} of its outputs are not LiteRT's, over {_MAX_SHARE:.0%}; the largest "
            f"difference is {difference.max_real:.4g}"
        )
    return ""


def _report(operators: tuple[Operator, ...], reason: str) -> TargetReport:
    placements = place(operators, lambda operator: reason)
    share = 0.0 if reason else 1.0
    reasons = (reason,) if reason else summarize(placements)
    return TargetReport("micro", not reason, share, placements, reasons, "TFLite Micro, run on this host")
