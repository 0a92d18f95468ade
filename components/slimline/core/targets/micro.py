"""Microcontrollers with TFLite Micro, which is really run here: in a process of its own, on the same example."""

import contextlib
import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from slimline.core.isolation import IsolatedError, run_isolated
from slimline.core.targets.graph import Node, read_nodes
from slimline.core.targets.report import Placement, TargetReport, accelerated_share, summarize
from slimline.core.tflite.runtime import TFLiteModel, to_stored
from slimline.errors import ConfigError, ModelError

_TIME_LIMIT_S = 120
_ARENA = re.compile(r"Arena allocation total (\d+) bytes")
_ARENA_BYTES = 64 << 20
# One step of the output's type: kernels may round differently in the last bit.
_MAX_STEPS = 1
_MAX_FLOAT_ERROR = 1e-4


def judge(content: bytes, example: Mapping[str, np.ndarray] | None = None) -> TargetReport:
    """Runs a file in TFLite Micro, compares its output with LiteRT's and reports the arena.

    Args:
      content: Bytes of a `.tflite` file.
      example: Real values by input name, each of shape (1, …); zeros when left out.

    Raises:
      ConfigError: TFLite Micro is not installed.
    """
    nodes = read_nodes(content)
    try:
        found: dict[str, Any] = run_isolated(run_in_micro, content, dict(example or {}), time_limit_s=_TIME_LIMIT_S)
    except IsolatedError as error:
        last = error.output.splitlines()[-1:]
        return _report(nodes, f"TFLite Micro {error.text}{f': {last[0]}' if last else ''}")
    except ModelError as error:
        return _report(nodes, error.found)
    reasons = []
    if found["difference"] > found["allowed"]:
        reasons.append(f"its output differs from LiteRT's by {found['difference']:g}, over {found['allowed']:g}")
    report = _report(nodes, "; ".join(reasons))
    return TargetReport(
        **{
            **vars(report),
            "arena_bytes": found["arena_bytes"],
            "max_difference": int(found["difference"]) if found["is_integer"] else None,
            "details": {"max_difference_real": found["difference"]},
        }
    )


def _report(nodes: tuple[Node, ...], reason: str) -> TargetReport:
    names = [node.outputs[0].name if node.outputs else "" for node in nodes]
    placements = tuple(
        Placement(node.op, name, node.macs, not reason, reason) for node, name in zip(nodes, names, strict=True)
    )
    return TargetReport(
        "micro",
        not reason,
        accelerated_share(placements),
        placements,
        (reason,) if reason else summarize(placements),
        "TFLite Micro, run on this host",
    )


def run_in_micro(content: bytes, example: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Runs a file once in TFLite Micro and once in LiteRT; for a process of its own.

    Returns:
      `arena_bytes`; `difference`, the largest one between the outputs, in steps of an integer type or as numbers;
      `allowed`, and `is_integer`.

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
    reference = TFLiteModel(content, "the file")
    (output,) = list(reference.outputs)[:1]
    row = {
        name: example.get(name, np.zeros((1, *reference.input_shapes[name]), np.float32)) for name in reference.inputs
    }
    printed: list[str] = []
    with _captured(printed):
        try:
            micro = runtime.Interpreter.from_bytes(content, arena_size=_ARENA_BYTES)
            for number, name in enumerate(reference.input_order):
                micro.set_input(to_stored(row[name], reference.inputs[name]), number)
            micro.invoke()
            given = micro.get_output(reference.output_order.index(output))
            micro.print_allocations()
        except (RuntimeError, ValueError) as error:
            failure: Exception | None = error
        else:
            failure = None
    text = "".join(printed)
    if failure is not None:
        said = [line for line in text.splitlines() if line.strip()]
        raise ModelError(
            f"TFLite Micro can't run it: {'; '.join(said[-2:]) or failure}", "operations that it has", "choose another"
        )
    wanted = reference.predict_stored(row)[output]
    is_integer = bool(np.issubdtype(wanted.dtype, np.integer))
    difference = float(np.abs(wanted.astype(np.float64) - given.astype(np.float64)).max(initial=0))
    arena = _ARENA.search(text)
    return {
        "arena_bytes": int(arena[1]) if arena else None,
        "difference": difference,
        "allowed": float(_MAX_STEPS) if is_integer else _MAX_FLOAT_ERROR,
        "is_integer": is_integer,
    }


@contextlib.contextmanager
def _captured(lines: list[str]) -> Any:
    """Takes what C++ code prints to standard error; TFLite Micro has no other way to tell its arena."""
    with tempfile.TemporaryFile() as stream:
        saved = os.dup(2)
        os.dup2(stream.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            stream.seek(0)
            lines.append(stream.read().decode(errors="replace"))
