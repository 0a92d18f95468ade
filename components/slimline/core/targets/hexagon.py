"""Qualcomm's Hexagon DSP with LiteRT's delegate.

Conditions are those of tensorflow/lite/delegates/hexagon/README.md, read in November 2026.
"""

from slimline.core.targets.report import TargetReport, accelerated_share, place, summarize
from slimline.core.tflite.graph import Operator, read_operators

_ALWAYS = frozenset(
    (
        "ADD",
        "ARG_MAX",
        "ARG_MIN",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "FULLY_CONNECTED",
        "HARD_SWISH",
        "L2_NORMALIZATION",
        "LOGISTIC",
        "MAXIMUM",
        "MEAN",
        "MINIMUM",
        "MIRROR_PAD",
        "MUL",
        "NEG",
        "PACK",
        "PAD",
        "RELU",
        "RELU6",
        "RESHAPE",
        "RESIZE_NEAREST_NEIGHBOR",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "STRIDED_SLICE",
        "SUB",
        "TANH",
        "TRANSPOSE",
    )
)
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_8_BIT = ("int8", "uint8")
_MAX_DIMENSIONS = 4
_MAX_STRIDE = 3
_MAX_RESIZED = 65


def judge(content: bytes) -> TargetReport:
    """Returns which operations the delegate takes; the others run on the CPU."""
    placements = place(read_operators(content), unsupported_reason)
    share = accelerated_share(placements)
    return TargetReport(
        "hexagon",
        share > 0,
        share,
        placements,
        summarize(placements),
        "the Hexagon delegate's list of operations, November 2026",
    )


def unsupported_reason(operator: Operator) -> str:
    """Returns why an operation does not run on the DSP; empty when it does."""
    data = [tensor for tensor in (*operator.inputs, *operator.outputs) if not tensor.is_constant]
    if any(tensor.dtype not in _8_BIT for tensor in data):
        return "its tensors are not all of 8 bits"
    if any(tensor.is_dynamic for tensor in data):
        return "its shape is not fixed"
    if any(len(tensor.shape) > _MAX_DIMENSIONS for tensor in data):
        return f"more than {_MAX_DIMENSIONS} dimensions"
    return "" if operator.op in _ALWAYS or operator.op == "QUANTIZE" else _condition(operator)


def _condition(operator: Operator) -> str:
    stride = max(operator.options.get("strideW", 1), operator.options.get("strideH", 1))
    dilation = max(operator.options.get("dilationWFactor", 1), operator.options.get("dilationHFactor", 1))
    if operator.op in _POOLS:
        return "" if operator.activation == "NONE" else "it has a fused activation"
    if operator.op in ("CONV_2D", "TRANSPOSE_CONV"):
        return "" if stride <= _MAX_STRIDE else f"its stride is over {_MAX_STRIDE}"
    if operator.op == "DEPTHWISE_CONV_2D":
        return _depthwise_condition(operator, stride, dilation)
    if operator.op == "RESIZE_BILINEAR":
        fits = max(operator.outputs[0].shape[1:3]) <= _MAX_RESIZED
        return "" if fits else f"its size is over {_MAX_RESIZED}"
    return "the delegate does not have it"


def _depthwise_condition(operator: Operator, stride: int, dilation: int) -> str:
    if operator.inputs[1].shape[2] != 3:
        return "its filter is not 3 wide"
    if operator.options.get("depthMultiplier", 1) != 1:
        return "its depth multiplier is not 1"
    if dilation > 1 and stride > 1:
        return "dilation together with a stride"
    return "" if stride <= _MAX_STRIDE else f"its stride is over {_MAX_STRIDE}"
