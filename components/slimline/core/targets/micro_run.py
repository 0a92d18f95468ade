"""Runs a file in TFLite Micro and with LiteRT's reference kernels: for processes of their own, since both may abort."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from slimline.core.targets.native_output import captured
from slimline.core.tflite.graph import Operator, read_operators
from slimline.core.tflite.runtime import TFLiteModel, to_stored
from slimline.errors import ConfigError, ModelError

Kernels: TypeAlias = Literal["reference", "optimized"]
_KERNELS = {
    "reference": OpResolverType.BUILTIN_REF,
    "optimized": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}
_ARENA = re.compile(r"Arena allocation total (\d+) bytes")
_ARENA_BYTES = 64 << 20


def run_in_litert(content: bytes, examples: Mapping[str, np.ndarray], kernels: Kernels) -> dict[str, Any]:
    """Runs a file on examples, each from a fresh state.

    Args:
      content: Bytes of a `.tflite` file.
      examples: Real values by input name, each of shape (examples, …); an input that is missing gets zeros.
      kernels: `reference`, which TFLite Micro's are made after, or `optimized`, both without XNNPACK.

    Returns:
      `inputs` and `outputs`, lists of arrays in the file's own types, in the order of the graph, each of shape
      (examples, …); `steps`, what one step of an output is in real units, 0 where it is computed in floats.

    Raises:
      ModelError: The kernels can't run it.
    """
    model = TFLiteModel(content, "the file")
    number = len(next(iter(examples.values()))) if examples else 1
    real = {
        name: examples.get(name, np.zeros((number, *(size or 1 for size in model.input_shapes[name])), np.float32))
        for name in model.inputs
    }
    inputs = [to_stored(real[name], model.inputs[name]) for name in model.input_order]
    try:
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=_KERNELS[kernels])
        outputs = _run_rows(interpreter, inputs)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"LiteRT's {kernels} kernels can't run it: {error}", "a file that runs", "convert it again"
        ) from error
    operators = read_operators(content)
    return {
        "inputs": inputs,
        "outputs": outputs,
        "steps": [_step(detail, operators, interpreter) for detail in interpreter.get_output_details()],
    }


def _run_rows(interpreter: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    ends, details = interpreter.get_input_details(), interpreter.get_output_details()
    for detail, values in zip(ends, inputs, strict=True):
        interpreter.resize_tensor_input(detail["index"], (1, *values.shape[1:]))
    interpreter.allocate_tensors()
    rows: list[list[np.ndarray]] = [[] for _ in details]
    for index in range(len(inputs[0])):
        interpreter.reset_all_variables()
        for detail, values in zip(ends, inputs, strict=True):
            interpreter.set_tensor(detail["index"], values[index : index + 1])
        interpreter.invoke()
        for row, detail in zip(rows, details, strict=True):
            row.append(interpreter.get_tensor(detail["index"]))
    return [np.concatenate(row) for row in rows]


def _step(detail: Mapping[str, Any], operators: Sequence[Operator], interpreter: Any) -> float:
    """Returns an output's step; that of the integers which become its floats at last, where the file ends in floats."""
    if detail["quantization"][0]:
        return float(detail["quantization"][0])
    for operator in operators:
        if operator.op == "DEQUANTIZE" and any(tensor.name == detail["name"] for tensor in operator.outputs):
            names = [tensor.name for tensor in operator.inputs]
            scales = [one["quantization"][0] for one in interpreter.get_tensor_details() if one["name"] in names]
            return float(scales[0]) if scales else 0.0
    return 0.0


def run_in_micro(content: bytes, inputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Runs a file in TFLite Micro, each example from a fresh state.

    Args:
      content: Bytes of a `.tflite` file.
      inputs: In the file's own types, in the order of the graph, each of shape (examples, …).

    Returns:
      `outputs` in the order of the graph, each of shape (examples, …), and `arena_bytes`.

    Raises:
      ConfigError: TFLite Micro is not installed.
      ModelError: It can't run the file; the message is its own.
    """
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise ConfigError(
            "the target 'micro' without TFLite Micro", "the package tflite-micro", "install slimline[micro]"
        ) from error
    rows: list[list[np.ndarray]] = []
    failure: Exception | None = None
    # TFLite Micro has no other way to tell its arena than to print it.
    with captured(2) as printed:
        try:
            interpreter = runtime.Interpreter.from_bytes(content, arena_size=_ARENA_BYTES)
            for index in range(len(inputs[0])):
                interpreter.reset()
                for place, values in enumerate(inputs):
                    interpreter.set_input(values[index : index + 1], place)
                interpreter.invoke()
                rows.append([interpreter.get_output(place) for place in range(_num_outputs(content))])
            interpreter.print_allocations()
        except (RuntimeError, ValueError) as error:
            failure = error
    if failure is not None:
        said = [line for line in printed[0].splitlines() if line.strip()]
        raise ModelError(
            f"TFLite Micro can't run it: {'; '.join(said[-2:]) or failure}", "operations that it has", "choose another"
        )
    arena = _ARENA.search(printed[0])
    outputs = [np.concatenate(values) for values in zip(*rows, strict=True)]
    return {"outputs": outputs, "arena_bytes": int(arena[1]) if arena else None}


def _num_outputs(content: bytes) -> int:
    return len(Interpreter(model_content=content, num_threads=1).get_output_details())
