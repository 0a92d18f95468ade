"""Reads facts from the bytes of a `.tflite` file: which weights it holds, of which type, how many zero or different.

The format is that of https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from slimline.core.tflite.graph import TYPE_NAMES, Operator, Tensor, op_name, read_operators, text

_NUMPY_TYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
_FLOAT_TYPES = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
# The operations that have kernels, and those that look embeddings up. Others have constants that are no weights.
_KERNEL_OPS = re.compile("CONV_|_CONV|FULLY_CONNECTED|BATCH_MATMUL|LSTM|RNN|SVDF|GATHER$|EMBEDDING_LOOKUP")
# The output channels of their kernels are the last dimension, those of all others the first.
_CHANNEL_LAST_OPS = ("DEPTHWISE_CONV_2D",)


@dataclass(frozen=True)
class WeightTensor:
    """A kernel in the file.

    Attributes:
      name: Of the tensor.
      output: Name of the operation's output, which tells the Keras layers that it was made of.
      op: The operation that uses it, as `CONV_2D`.
      dtype: As `int8`.
      shape: In the file's order.
      num_weights: Values in the tensor.
      num_zeros: Values that stand for zero.
      num_distinct: Different values.
      max_distinct_per_channel: Different values in the output channel that has most of them: int8 kernels have a scale
        per channel, so that a clustered kernel shows its clusters only there.
      num_scales: Of its quantization; 0 for floats.
    """

    name: str
    output: str
    op: str
    dtype: str
    shape: tuple[int, ...]
    num_weights: int
    num_zeros: int
    num_distinct: int
    max_distinct_per_channel: int
    num_scales: int = 0

    def belongs_to(self, layer: str) -> bool:
        """Returns whether the tensor was made from a Keras layer, as far as its name tells.

        The converter names a tensor after the operations that it came from, such as `model/dense/MatMul`. TFMOT puts a
        prefix before the names of layers that it trained to be quantized.
        """
        return re.search(rf"(^|[/;])(quant_)?(qat_)?{re.escape(layer)}([/;]|$)", self.name) is not None


@dataclass(frozen=True)
class Operation:
    """An operation of the main graph by names, so that it can be found in another file; `Operator` has all of it.

    Attributes:
      op: As `CONV_2D`; a custom operation's own name, as `FlexErf`.
      output: Name of its first output, by which the same operation is found in another file.
      output_index: Number of that tensor.
      output_dtype: As `int8`.
      inputs: Names of its inputs that are computed, not constant.
      weight_dtype: Of its first constant of two or more dimensions; empty when there is none.
      weight_bytes: Of all its constants.
    """

    op: str
    output: str
    output_index: int
    output_dtype: str
    inputs: tuple[str, ...]
    weight_dtype: str
    weight_bytes: int


def operations(content: bytes) -> tuple[Operation, ...]:
    """Returns the operations of a file's main graph in the order in which they run.

    Args:
      content: Bytes of a `.tflite` file.
    """
    operators = read_operators(content)
    # Constants that a DEQUANTIZE stands before, as float16 weights do.
    stored = {
        operator.outputs[0].index: operator.inputs[0]
        for operator in operators
        if operator.op == "DEQUANTIZE" and operator.inputs[0].is_constant
    }
    return tuple(_operation(operator, stored) for operator in operators if operator.outputs)


def counterparts(before: Sequence[Operation], after: Sequence[Operation]) -> dict[str, Operation]:
    """Finds the operations of one file in another one made from the same model.

    A converter puts a number behind a name that is taken, and another number when there are more tensors.

    Args:
      before: Operations of the one file.
      after: Operations of the other.

    Returns:
      By the name of an output of `before` the operation of `after`.
    """
    # What has no computed input decodes a constant, and is no operation of the model.
    after = [operation for operation in after if operation.op != "DEQUANTIZE" or operation.inputs]
    exact = {operation.output: operation for operation in after}
    listed = [Counter((operation.op, _bare(operation.output)) for operation in side) for side in (before, after)]
    alike = {(operation.op, _bare(operation.output)): operation for operation in after}
    found = {}
    for operation in before:
        same, key = exact.get(operation.output), (operation.op, _bare(operation.output))
        is_only = all(names[key] == 1 for names in listed)
        if same is not None and same.op == operation.op:
            found[operation.output] = same
        elif is_only:
            found[operation.output] = alike[key]
        elif same is not None:
            found[operation.output] = same
    return found


def _bare(name: str) -> str:
    return re.sub(r"(_int16)?$", "", name).rstrip("0123456789")


def output_tensors(content: bytes) -> dict[str, str]:
    """Returns for each output of a file's signature the name of its tensor.

    Args:
      content: Bytes of a `.tflite` file with one signature.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    tensors = model.subgraphs[0].tensors
    return {text(entry.name): text(tensors[entry.tensorIndex].name) for entry in model.signatureDefs[0].outputs}


@dataclass(frozen=True)
class End:
    """An input or output of a file's signature.

    Attributes:
      name: In the signature.
      shape: With -1 for an open dimension.
      dtype: As `int8`.
      scale: Of its quantization; None for floats.
      zero_point: Likewise.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None


def signature_ends(content: bytes) -> tuple[tuple[End, ...], tuple[End, ...]]:
    """Returns the inputs and the outputs of a file's signature, sorted by name.

    Args:
      content: Bytes of a `.tflite` file with one signature.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    (signature,) = model.signatureDefs
    tensors = model.subgraphs[0].tensors

    def describe(entries: Any) -> tuple[End, ...]:
        ends = [_end(text(entry.name), tensors[entry.tensorIndex]) for entry in entries]
        return tuple(sorted(ends, key=lambda end: end.name))

    return describe(signature.inputs), describe(signature.outputs)


def _end(name: str, tensor: Any) -> End:
    sizes = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    scales: Any = () if tensor.quantization is None or tensor.quantization.scale is None else tensor.quantization.scale
    has_scale = len(scales) > 0
    return End(
        name,
        tuple(int(size) for size in sizes) if sizes is not None else (),
        TYPE_NAMES[tensor.type],
        float(scales[0]) if has_scale else None,
        _zero_point(tensor) if has_scale else None,
    )


def keeps_state(content: bytes) -> bool:
    """Returns whether a file keeps values from one inference to the next, as a fused LSTM does in variable tensors.

    Whoever runs it on independent examples has to reset them before each
    (https://ai.google.dev/edge/api/tflite/python/tf/lite/Interpreter#reset_all_variables).

    Args:
      content: Bytes of a `.tflite` file.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    tensors = (tensor for graph in model.subgraphs for tensor in graph.tensors)
    return any(tensor.isVariable or TYPE_NAMES[tensor.type] == "resource" for tensor in tensors)


def has_select_ops(content: bytes) -> bool:
    """Returns whether a file needs operations of TensorFlow itself, which no accelerator has."""
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    return any(text(code.customCode).startswith("Flex") for code in model.operatorCodes)


def _operation(operator: Operator, stored: Mapping[int, Tensor]) -> Operation:
    tensors = [stored.get(tensor.index, tensor) for tensor in operator.inputs]
    constants = [tensor for tensor in tensors if tensor.is_constant]
    kernels = [tensor for tensor in constants if len(tensor.shape) > 1]
    output = operator.outputs[0]
    return Operation(
        operator.op,
        output.name,
        output.index,
        output.dtype,
        tuple(tensor.name for tensor in tensors if not tensor.is_constant),
        kernels[0].dtype if kernels else "",
        sum(tensor.num_bytes or 0 for tensor in constants),
    )


def weight_tensors(content: bytes) -> tuple[WeightTensor, ...]:
    """Returns the kernels of convolutions and dense layers in a file, and of recurrent and embedding layers.

    Args:
      content: Bytes of a `.tflite` file.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    found: dict[int, WeightTensor] = {}
    for graph in model.subgraphs:
        stored = _stored(model, graph)
        for operator in graph.operators:
            op = op_name(model.operatorCodes[operator.opcodeIndex])
            if _KERNEL_OPS.search(op) is None:
                continue
            output = text(graph.tensors[operator.outputs[0]].name)
            for index in operator.inputs:
                # An optional input that is not there has the index -1.
                if index < 0:
                    continue
                tensor = graph.tensors[stored.get(index, index)]
                values = _constant(model, tensor)
                # Biases and scalars have one dimension.
                if values is not None and values.ndim >= 2:
                    found.setdefault(tensor.buffer, _describe(tensor, values, output, op))
    return tuple(found.values())


def float_operations(content: bytes) -> tuple[str, ...]:
    """Returns the names of the operations in a file that read or write floating-point tensors, sorted.

    Args:
      content: Bytes of a `.tflite` file.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    found = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            used = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
            if any(graph.tensors[index].type in _FLOAT_TYPES for index in used):
                found.add(op_name(model.operatorCodes[operator.opcodeIndex]))
    return tuple(sorted(found))


def _stored(model: Any, graph: Any) -> dict[int, int]:
    """Returns for tensors that are computed from float16 weights the index of these weights."""
    return {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if op_name(model.operatorCodes[operator.opcodeIndex]) == "DEQUANTIZE"
    }


def _describe(tensor: Any, values: np.ndarray, output: str, op: str) -> WeightTensor:
    zero_point = _zero_point(tensor)
    channels = values.shape[-1] if op in _CHANNEL_LAST_OPS else values.shape[0]
    by_channel = values.reshape(-1, channels).T if op in _CHANNEL_LAST_OPS else values.reshape(channels, -1)
    return WeightTensor(
        text(tensor.name),
        output,
        op,
        TYPE_NAMES[tensor.type],
        tuple(values.shape),
        values.size,
        int(np.count_nonzero(values == zero_point)),
        np.unique(values).size,
        max(np.unique(row).size for row in by_channel),
        0 if tensor.quantization is None or tensor.quantization.scale is None else len(tensor.quantization.scale),
    )


def _zero_point(tensor: Any) -> int:
    points = None if tensor.quantization is None else tensor.quantization.zeroPoint
    return 0 if points is None or len(points) == 0 else int(points[0])


def _constant(model: Any, tensor: Any) -> np.ndarray | None:
    """Returns a tensor's values when they stand in the file as they are, else None."""
    data = model.buffers[tensor.buffer].data
    dtype = _NUMPY_TYPES.get(tensor.type)
    shape = tuple(int(size) for size in tensor.shape) if tensor.shape is not None else ()
    if data is None or dtype is None or len(data) != np.prod(shape, dtype=np.int64) * np.dtype(dtype).itemsize:
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(shape)
