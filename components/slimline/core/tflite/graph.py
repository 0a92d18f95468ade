"""The graph of a `.tflite` file: its operators with tensors, options, and the work in each. All else reads it here."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPE_NAMES = {value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
_OP_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_ACTIVATIONS = {value: name for name, value in vars(schema.ActivationFunctionType).items() if not name.startswith("_")}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the main graph.

    Attributes:
      name: In the file.
      dtype: As `int8`.
      shape: With a batch of 1.
      num_bytes: Of its values when they stand in the file; None when they are computed.
      is_dynamic: Whether a dimension other than the batch is open.
      has_open_batch: Whether the batch is open.
      is_sparse: Whether its values are encoded without the zeros.
      index: Its number in the graph.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    num_bytes: int | None
    is_dynamic: bool
    has_open_batch: bool
    is_sparse: bool = False
    index: int = 0

    @property
    def is_constant(self) -> bool:
        """Whether its values stand in the file."""
        return self.num_bytes is not None


@dataclass(frozen=True)
class Operator:
    """An operation of the main graph.

    Attributes:
      op: As `CONV_2D`, or the name of a custom operation.
      inputs: Its tensors; optional ones that are not given are left out.
      outputs: Its tensors.
      options: Its options by name, as `strideW`.
      activation: The activation fused into it, as `RELU`; `NONE` when there is none.
      macs: Multiply-accumulate operations for one example.
    """

    op: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Mapping[str, Any]
    activation: str
    macs: int


def read_operators(content: bytes) -> tuple[Operator, ...]:
    """Returns the operations of a file's main graph in the order in which they run.

    Args:
      content: Bytes of a `.tflite` file.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    tensors = [_tensor(model, index, tensor) for index, tensor in enumerate(graph.tensors)]
    return tuple(_operator(model, operator, tensors, graph.tensors) for operator in graph.operators)


def _tensor(model: Any, index: int, tensor: Any) -> Tensor:
    shape = tuple(int(size) for size in tensor.shape) if tensor.shape is not None else ()
    signature = tensor.shapeSignature
    open_sizes = [int(size) < 0 for size in signature] if signature is not None else []
    data = model.buffers[tensor.buffer].data
    num_bytes = None if data is None else len(data)
    is_dynamic, has_open_batch = any(open_sizes[1:]), any(open_sizes[:1])
    is_sparse = tensor.sparsity is not None
    dtype = TYPE_NAMES[tensor.type]
    return Tensor(text(tensor.name), dtype, shape, num_bytes, is_dynamic, has_open_batch, is_sparse, index)


def _operator(model: Any, operator: Any, tensors: list[Tensor], graph_tensors: list[Any]) -> Operator:
    op = op_name(model.operatorCodes[operator.opcodeIndex])
    inputs = tuple(tensors[index] for index in operator.inputs if index >= 0)
    outputs = tuple(tensors[index] for index in operator.outputs)
    options = dict(vars(operator.builtinOptions)) if operator.builtinOptions is not None else {}
    activation = _ACTIVATIONS[options.get("fusedActivationFunction", 0)]
    if op == "STRIDED_SLICE":
        options["strides"] = _constant_int32(model, graph_tensors, operator.inputs[3])
    return Operator(op, inputs, outputs, options, activation, count_macs(op, inputs, outputs, options))


def op_name(code: Any) -> str:
    """Returns an operation's name, as `CONV_2D`; a custom operation's own, as `FlexErf`."""
    if code.customCode:
        return text(code.customCode)
    # Older files have the code in a byte of its own.
    return _OP_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def text(name: Any) -> str:
    """Returns a name in a file as a string; empty when there is none."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "")


def _constant_int32(model: Any, graph_tensors: list[Any], index: int) -> tuple[int, ...] | None:
    """Returns the values of a tensor of 32-bit integers; None when they are computed."""
    values = model.buffers[graph_tensors[index].buffer].data
    return None if values is None else tuple(int(value) for value in np.asarray(values, np.uint8).view(np.int32))


def count_macs(
    op: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], options: Mapping[str, Any] | None = None
) -> int:
    """Returns the multiply-accumulate operations of an operation for one example.

    Kernels count each weight as often as it is used; everything else counts nothing, since it is a small share of the
    work of any network (as in Sze et al., Proceedings of the IEEE 105, 2017).
    """
    if not outputs or len(inputs) < 2:
        return 0
    kernel, result = inputs[1].shape, outputs[0].shape
    if op in ("CONV_2D", "CONV_3D"):
        return prod(result) * prod(kernel[1:])
    if op == "DEPTHWISE_CONV_2D":
        return prod(result) * prod(kernel[1:3])
    if op == "FULLY_CONNECTED":
        return prod(result) * kernel[-1]
    if op == "TRANSPOSE_CONV":
        return prod(inputs[2].shape) * kernel[0] * prod(kernel[1:3]) if len(inputs) > 2 else 0
    if op == "BATCH_MATMUL":
        return prod(result) * inputs[0].shape[-2 if (options or {}).get("adjX") else -1]
    if "LSTM" in op or "RNN" in op:
        # The states that go from step to step have two dimensions as well, and are no weights.
        weights = [tensor for tensor in inputs[1:] if tensor.is_constant and len(tensor.shape) == 2]
        return sum(prod(tensor.shape) for tensor in weights) * _num_steps(inputs[0])
    return 0


def _num_steps(sequence: Tensor) -> int:
    return sequence.shape[1] if len(sequence.shape) > 2 else 1
