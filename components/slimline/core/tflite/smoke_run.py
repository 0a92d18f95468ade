"""Runs a `.tflite` file before anybody relies on it, and finds the operation that it fails at.

A conversion that succeeds proves little: 16x8 files convert and then fail at run time (google-ai-edge/LiteRT#4383), and
some kernels abort the process. So the file runs in a process of its own, with a time limit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from slimline.core.isolation import IsolatedError, run_isolated
from slimline.core.tflite.activations import run_model
from slimline.core.tflite.flatbuffer import has_select_ops, operations
from slimline.core.tflite.runtime import to_stored
from slimline.errors import ModelError

_SEARCH_TIME_LIMIT_S = 60.0


def run_smoke_test(
    content: bytes, name: str, inputs: Mapping[str, np.ndarray], time_limit_s: float
) -> dict[str, np.ndarray]:
    """Runs a file on some records in a process of its own, and returns its outputs.

    Args:
      content: Bytes of a `.tflite` file.
      name: For messages.
      inputs: Real values by input name, each of shape (records, …).
      time_limit_s: Seconds for all records together.

    Returns:
      Real values by output name, each of shape (records, …).

    Raises:
      ModelError: The file can't be run: the message names the operation, or the limit.
    """
    try:
        outputs: dict[str, np.ndarray] = run_isolated(run_model, content, name, inputs, time_limit_s=time_limit_s)
    except IsolatedError as error:
        if error.reason == "time":
            raise ModelError(
                f"{name}, which {error.text} on {len(next(iter(inputs.values())))} records",
                "a model that runs in the time limit",
                "raise time_limit_s, or choose another scheme: int16x8 has slow reference kernels only",
            ) from error
        raise _broken(f"{name} {error.text} when it ran", content, inputs, error.output) from error
    except ModelError as error:
        raise _broken(error.found, content, inputs, "") from error
    return outputs


def _broken(found: str, content: bytes, inputs: Mapping[str, np.ndarray], printed: str) -> ModelError:
    where = find_failing_operation(content, inputs)
    last_line = f" It printed: {printed.splitlines()[-1]}" if printed else ""
    return ModelError(
        f"{found}{f', at {where}' if where else ''}.{last_line}",
        "a file whose operations LiteRT runs",
        "choose another scheme or backend, or replace the layer that the operation comes from",
    )


def find_failing_operation(content: bytes, inputs: Mapping[str, np.ndarray]) -> str | None:
    """Returns the first operation with which a file can't be run, as `CONV_2D (model/conv/Relu)`; None if it can.

    Prefixes of the file run in processes of their own, and the shortest that fails is searched by halves.
    """
    try:
        Interpreter(model_content=content, num_threads=1)
    except (ValueError, RuntimeError):
        # These bytes are no model at all.
        return None
    if has_select_ops(content):
        return None
    listed = operations(content)
    first = {name: values[:1] for name, values in inputs.items()}
    runs, fails = 0, len(listed)
    if _prefix_runs(content, fails, first):
        return None
    while fails - runs > 1:
        middle = (runs + fails) // 2
        if _prefix_runs(content, middle, first):
            runs = middle
        else:
            fails = middle
    failing = listed[fails - 1]
    return f"{failing.op} ({failing.output})"


def _prefix_runs(content: bytes, num_operations: int, inputs: Mapping[str, np.ndarray]) -> bool:
    try:
        run_isolated(invoke_prefix, content, num_operations, inputs, time_limit_s=_SEARCH_TIME_LIMIT_S)
    except (IsolatedError, ModelError):
        return False
    return True


def invoke_prefix(content: bytes, num_operations: int, inputs: Mapping[str, np.ndarray]) -> None:
    """Runs the first operations of a file once.

    Raises:
      ModelError: They can't be run.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    graph.operators = [operator for operator in graph.operators if len(operator.outputs)][:num_operations]
    graph.outputs = list(graph.operators[-1].outputs)
    names = {int(entry.tensorIndex): entry.name.decode() for entry in model.signatureDefs[0].inputs}
    model.signatureDefs = []
    try:
        interpreter = Interpreter(
            model_content=bytes(flatbuffer_utils.convert_object_to_bytearray(model)), num_threads=1
        )
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], to_stored(inputs[names[detail["index"]]], detail))
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise ModelError(str(error), "operations that run", "see the message") from error
