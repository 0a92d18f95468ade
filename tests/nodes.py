"""Operations of a graph as devices judge them, without a file around them."""

from collections.abc import Sequence
from typing import Any

from slimline.core.targets.graph import Node, Tensor


def data(*shape: int, dtype: str = "int8", **more: bool) -> Tensor:
    """A tensor that is computed."""
    return Tensor("data", dtype, shape, **{"is_constant": False, "is_dynamic": False, "has_open_batch": False, **more})


def constant(*shape: int, dtype: str = "int8") -> Tensor:
    """A tensor whose values stand in the file."""
    return data(*shape, dtype=dtype, is_constant=True)


def node(
    op: str,
    inputs: Sequence[Tensor] = (data(1, 8, 8, 4),),
    outputs: Sequence[Tensor] = (data(1, 8, 8, 4),),
    activation: str = "NONE",
    macs: int = 0,
    **options: Any,
) -> Node:
    return Node(op, tuple(inputs), tuple(outputs), options, activation, macs)
