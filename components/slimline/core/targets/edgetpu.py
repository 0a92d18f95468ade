"""Coral's Edge TPU.

Conditions are those of https://coral.ai/docs/edgetpu/models-intro/#supported-operations, read in November 2026. Where
`edgetpu_compiler` is on the path, its own log is the truth.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from slimline.core.targets.report import Placement, TargetReport, accelerated_share, place, summarize
from slimline.core.tflite.graph import Operator, read_operators

COMPILER = "edgetpu_compiler"
_TIME_LIMIT_S = 300
_ALWAYS = frozenset(
    (
        "ADD",
        "MAXIMUM",
        "MINIMUM",
        "MUL",
        "SUB",
        "LOGISTIC",
        "TANH",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "QUANTIZE",
        "EXPAND_DIMS",
        "RSQRT",
        "SLICE",
        "L2_NORMALIZATION",
        "SPACE_TO_DEPTH",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    )
)
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
_MAX_SOFTMAX = 16_000
_8_BIT = ("int8", "uint8")
_MAPPED = "Mapped to Edge TPU"


def judge(content: bytes) -> TargetReport:
    """Returns which operations the Edge TPU takes: everything after the first that it does not runs on the CPU."""
    operators = read_operators(content)
    if shutil.which(COMPILER):
        return _compile(content, operators)
    placements = place(operators, unsupported_reason, splits_once=True)
    share = accelerated_share(placements)
    return TargetReport(
        "edgetpu",
        share > 0,
        share,
        placements,
        summarize(placements),
        f"Coral's list of operations, November 2026; {COMPILER} is not on the path",
    )


def unsupported_reason(operator: Operator) -> str:
    """Returns why an operation does not run on the Edge TPU; empty when it does."""
    tensors = (*operator.inputs, *operator.outputs)
    data = [tensor for tensor in tensors if not tensor.is_constant]
    if any(tensor.dtype not in _8_BIT for tensor in data):
        return "its tensors are not all of 8 bits"
    if any(tensor.is_dynamic for tensor in tensors):
        return "its shape is not fixed"
    if any(tensor.has_open_batch for tensor in data):
        return "its batch is open: quantize with static_batch=True"
    if any(len(tensor.shape) > 3 and any(size > 1 for size in tensor.shape[:-3]) for tensor in data):
        return "more than the three innermost dimensions are larger than 1"
    return "" if operator.op in _ALWAYS else _condition(operator)


def _condition(operator: Operator) -> str:
    if operator.op in _POOLS or operator.op == "CONCATENATION":
        return "" if operator.activation == "NONE" else "it has a fused activation"
    if operator.op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        same = operator.options.get("dilationWFactor", 1) == operator.options.get("dilationHFactor", 1)
        return "" if same else "its dilation differs between x and y"
    if operator.op == "FULLY_CONNECTED":
        is_flat = all(size == 1 for size in operator.outputs[0].shape[:-1])
        return "" if is_flat and not operator.options.get("weightsFormat") else "its output has more than one dimension"
    if operator.op == "SOFTMAX":
        shape = operator.outputs[0].shape
        fits = all(size == 1 for size in shape[:-1]) and shape[-1] <= _MAX_SOFTMAX
        return "" if fits else f"its input has more than one dimension, or more than {_MAX_SOFTMAX:,} values"
    if operator.op == "STRIDED_SLICE":
        return _slice_condition(operator)
    if operator.op == "SQUEEZE":
        return _squeeze_condition(operator)
    if operator.op in _REDUCTIONS:
        return _reduction_condition(operator)
    if operator.op == "PAD" and operator.inputs[0].shape[-1:] != operator.outputs[0].shape[-1:]:
        return "it pads more than x and y"
    if operator.op in ("PACK", "SPLIT", "PAD"):
        return (
            "" if operator.inputs[0].shape[:1] == operator.outputs[0].shape[:1] else "it works on the batch dimension"
        )
    if operator.op == "PRELU":
        return (
            "" if all(size == 1 for size in operator.inputs[1].shape[:-1]) else "its alpha has more than one dimension"
        )
    if operator.op == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return ""
    return "the Edge TPU does not have it"


def _slice_condition(operator: Operator) -> str:
    strides = operator.options.get("strides")
    if strides is None or any(stride != 1 for stride in strides):
        return "its strides are not all 1"
    masks = operator.options.get("ellipsisMask", 0) or operator.options.get("newAxisMask", 0)
    return "it has an ellipsis or a new axis" if masks else ""


def _squeeze_condition(operator: Operator) -> str:
    before, after = operator.inputs[0].shape, operator.outputs[0].shape
    is_leading = before[len(before) - len(after) :] == after
    return "" if is_leading else "it removes a dimension that is not a leading one"


def _reduction_condition(operator: Operator) -> str:
    before, after = operator.inputs[0].shape, operator.outputs[0].shape
    if before[:1] != after[:1]:
        return "it reduces over the batch"
    reduces_depth = not after or after[-1] != before[-1]
    return "a reduction over a depth that is no multiple of 4" if reduces_depth and before[-1] % 4 else ""


def _compile(content: bytes, operators: tuple[Operator, ...]) -> TargetReport:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        command = [COMPILER, "-s", "-o", folder, str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return _refused(operators, f"{COMPILER} did not finish in {_TIME_LIMIT_S} s")
        log = Path(folder) / "model_edgetpu.log"
        text = log.read_text() if log.exists() else done.stdout + done.stderr
    if done.returncode:
        return _refused(operators, (text.strip().splitlines() or ["no message"])[-1])
    rows = read_log(text)
    placements = place(operators, lambda operator: _logged_reason(operator, rows), splits_once=True)
    share = accelerated_share(placements)
    return TargetReport("edgetpu", share > 0, share, placements, summarize(placements), f"{COMPILER}'s own log")


def read_log(text: str) -> dict[str, tuple[int, str]]:
    """Returns from the compiler's log, by operation, how many are mapped and what it says of the others."""
    rows: dict[str, tuple[int, str]] = {}
    for line in text.splitlines():
        if found := re.match(r"^([A-Z][A-Z0-9_]+)\s+(\d+)\s+(.+?)\s*$", line):
            mapped, said = rows.get(found[1], (0, ""))
            is_mapped = found[3] == _MAPPED
            rows[found[1]] = (mapped + int(found[2]) * is_mapped, said if is_mapped else found[3])
    return rows


def _logged_reason(operator: Operator, rows: dict[str, tuple[int, str]]) -> str:
    # The log has one name for all custom operations.
    is_custom = operator.op not in rows and not operator.op.isupper()
    name = "CUSTOM" if is_custom and "CUSTOM" in rows else operator.op
    mapped, said = rows.get(name, (0, "the compiler does not mention it"))
    if mapped == 0:
        return said
    rows[name] = (mapped - 1, said)
    return ""


def _refused(operators: tuple[Operator, ...], reason: str) -> TargetReport:
    placements = tuple(
        Placement(operator.op, operator.outputs[0].name if operator.outputs else "", operator.macs, False, reason)
        for operator in operators
    )
    return TargetReport("edgetpu", False, 0.0, placements, (reason,), f"{COMPILER}'s own log")
