"""What a device makes of a file, operation by operation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slimline.core.tflite.graph import Operator


@dataclass(frozen=True)
class Placement:
    """Where an operation runs.

    Attributes:
      op: The operation.
      tensor: Name of its output.
      macs: Its multiply-accumulate operations.
      is_accelerated: Whether the target's fast kernels take it.
      reason: Why not, when not.
    """

    op: str
    tensor: str
    macs: int
    is_accelerated: bool
    reason: str = ""


@dataclass(frozen=True)
class TargetReport:
    """The verdict on one target.

    Attributes:
      target: Its name.
      runs: Whether the file runs there at all.
      accelerated_share: Share of the multiply-accumulate operations that run accelerated, in [0, 1].
      placements: Of every operation.
      reasons: What keeps the file from running, or from being accelerated.
      source: Where the verdict comes from.
      arena_bytes: Memory that TFLite Micro needs; None for other targets.
      max_difference: Largest difference between TFLite Micro's output and LiteRT's, in steps of the output's type.
      details: Further figures of the target's own.
    """

    target: str
    runs: bool
    accelerated_share: float
    placements: tuple[Placement, ...]
    reasons: tuple[str, ...]
    source: str
    arena_bytes: int | None = None
    max_difference: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def place(
    operators: Sequence[Operator], unsupported_reason: Callable[[Operator], str], *, splits_once: bool = False
) -> tuple[Placement, ...]:
    """Places every operation.

    Args:
      operators: The operations in order.
      unsupported_reason: Returns why an operation is not accelerated; empty when it is.
      splits_once: Whether everything after the first operation that is not accelerated is left to the CPU.
    """
    placements, is_split = [], False
    for operator in operators:
        reason = unsupported_reason(operator)
        if splits_once and is_split and not reason:
            reason = "it comes after an operation that runs on the CPU"
        is_split = is_split or bool(reason)
        name = operator.outputs[0].name if operator.outputs else ""
        placements.append(Placement(operator.op, name, operator.macs, not reason, reason))
    return tuple(placements)


def accelerated_share(placements: Sequence[Placement]) -> float:
    """Returns the share of the work that runs accelerated; of the operations' number in a file without any work."""
    total = sum(placement.macs for placement in placements)
    if total:
        return sum(placement.macs for placement in placements if placement.is_accelerated) / total
    return sum(placement.is_accelerated for placement in placements) / max(1, len(placements))


def summarize(placements: Sequence[Placement]) -> tuple[str, ...]:
    """Returns the different reasons, each with the operations that it holds for."""
    by_reason: dict[str, dict[str, int]] = {}
    for placement in placements:
        if placement.reason:
            counts = by_reason.setdefault(placement.reason, {})
            counts[placement.op] = counts.get(placement.op, 0) + 1
    return tuple(
        ", ".join(f"{op} ({number})" if number > 1 else op for op, number in counts.items()) + f": {reason}"
        for reason, counts in by_reason.items()
    )
