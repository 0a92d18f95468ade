"""CPUs with LiteRT and XNNPACK, its default delegate.

XNNPACK's list is that of https://github.com/google-ai-edge/LiteRT/blob/main/tflite/delegates/xnnpack/README.md, read in
November 2026; what it does not take runs on LiteRT's own kernels.
"""

from slimline.core.targets.report import TargetReport, accelerated_share, place, summarize
from slimline.core.tflite.graph import Operator, read_operators

_OPS = frozenset(
    (
        "ABS",
        "ADD",
        "AVERAGE_POOL_2D",
        "BATCH_MATMUL",
        "CEIL",
        "CONCATENATION",
        "CONV_2D",
        "DEPTH_TO_SPACE",
        "DEPTHWISE_CONV_2D",
        "DEQUANTIZE",
        "DIV",
        "ELU",
        "EXP",
        "EXPAND_DIMS",
        "FLOOR",
        "FULLY_CONNECTED",
        "GELU",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOG",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MAXIMUM",
        "MEAN",
        "MINIMUM",
        "MUL",
        "NEG",
        "PAD",
        "PRELU",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "ROUND",
        "RSQRT",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SQRT",
        "SQUARE",
        "SQUARED_DIFFERENCE",
        "STRIDED_SLICE",
        "SUB",
        "SUM",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    )
)


def judge(content: bytes) -> TargetReport:
    """Returns which operations XNNPACK takes; the others run too, on slower kernels.

    A file whose weights are encoded as sparse is refused: on ARM, LiteRT 1.2.0 and 2.1.2 gave wrong outputs of such
    files, and 2.1.5 to 2.3.0 did not load them, while they run well on x86 (`docs/devices.md`).
    """
    operators = read_operators(content)
    placements = place(operators, _unsupported_reason)
    return TargetReport(
        "cpu",
        not any(_is_sparse(operator) for operator in operators),
        accelerated_share(placements),
        placements,
        summarize(placements),
        "XNNPACK's list of operations, November 2026",
    )


def _is_sparse(operator: Operator) -> bool:
    return operator.op == "DENSIFY" or any(tensor.is_sparse for tensor in operator.inputs)


def _unsupported_reason(operator: Operator) -> str:
    if _is_sparse(operator):
        return "weights in a sparse encoding give wrong outputs on ARM, or do not load; gzip saves as much without it"
    if any(tensor.dtype == "int16" for tensor in (*operator.inputs, *operator.outputs)) and operator.op != "QUANTIZE":
        return "16-bit activations run on reference kernels, which are many times slower"
    if operator.op.startswith("Flex"):
        return "it needs TensorFlow's own kernels to be linked in"
    return "" if operator.op in _OPS else "XNNPACK does not have it: it runs on LiteRT's own kernels"
