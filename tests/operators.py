"""Operations of a graph as devices judge them, without a file around them."""

from collections.abc import Sequence
from math import prod
from typing import Any

from slimline.core.tflite.graph import Operator, Tensor


def data(*shape: int, dtype: str = "int8", **more: Any) -> Tensor:
    """A tensor that is computed."""
    return Tensor("data", dtype, shape, **{"num_bytes": None, "is_dynamic": False, "has_open_batch": False, **more})


def constant(*shape: int, dtype: str = "int8") -> Tensor:
    """A tensor whose values stand in the file."""
    return data(*shape, dtype=dtype, num_bytes=prod(shape))


def operator(
    op: str,
    inputs: Sequence[Tensor] = (data(1, 8, 8, 4),),
    outputs: Sequence[Tensor] = (data(1, 8, 8, 4),),
    activation: str = "NONE",
    macs: int = 0,
    **options: Any,
) -> Operator:
    return Operator(op, tuple(inputs), tuple(outputs), options, activation, macs)
