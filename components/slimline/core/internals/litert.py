"""Details of LiteRT's interpreter, seen in ai-edge-litert 2.3."""

from typing import Any

from ai_edge_litert.interpreter import Interpreter


def tensor_details(interpreter: Interpreter, tensor: int) -> dict[str, Any]:
    """Returns name, shape, dtype and quantization of a tensor of the main graph.

    The public function gives those of all tensors, which takes longer than a run of a small model.
    """
    details: dict[str, Any] = interpreter._get_tensor_details(tensor, 0)
    return details
