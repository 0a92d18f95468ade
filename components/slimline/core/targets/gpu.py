"""Mobile GPUs with LiteRT's GPU delegate, judged by the delegate's own analyzer.

It prints its verdict as text; an operation that the delegate does not take is followed by a warning.
"""

import io
import re
from contextlib import redirect_stdout

from slimline.core.targets.report import TargetReport, accelerated_share, place, summarize
from slimline.core.tflite.graph import Operator, read_operators

_NODE = re.compile(r"^\s*Op#(\d+) ")
_WARNING = re.compile(r"GPU COMPATIBILITY WARNING: (.*)")
# The operations of tensorflow/lite/tools/versioning/gpu_compatibility.cc. The analyzer in TensorFlow 2.21's wheel calls
# every file compatible, those with TensorFlow's own operations too, so that its warnings alone say nothing.
_OPS = frozenset(
    [
        "ABS",
        "ADD",
        "ADD_N",
        "ATAN2",
        "AVERAGE_POOL_2D",
        "BATCH_MATMUL",
        "CAST",
        "CEIL",
        "CONCATENATION",
        "CONV_2D",
        "COS",
        "CUMSUM",
        "DENSIFY",
        "DEPTHWISE_CONV_2D",
        "DEPTH_TO_SPACE",
        "DEQUANTIZE",
        "DIV",
        "DYNAMIC_UPDATE_SLICE",
        "ELU",
        "EMBEDDING_LOOKUP",
        "EQUAL",
        "EXP",
        "FLOOR",
        "FLOOR_DIV",
        "FLOOR_MOD",
        "FULLY_CONNECTED",
        "GATHER",
        "GELU",
        "GREATER",
        "GREATER_EQUAL",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LESS",
        "LESS_EQUAL",
        "LOG",
        "LOGICAL_AND",
        "LOGISTIC",
        "LSTM",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MIRROR_PAD",
        "MUL",
        "NEG",
        "NOT_EQUAL",
        "ONE_HOT",
        "PACK",
        "PAD",
        "PADV2",
        "POW",
        "PRELU",
        "QUANTIZE",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "REDUCE_PROD",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "RSQRT",
        "SELECT",
        "SELECT_V2",
        "SIGN",
        "SIN",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQRT",
        "SQUARE",
        "SQUARED_DIFFERENCE",
        "STABLEHLO_CLAMP",
        "STRIDED_SLICE",
        "SUB",
        "SUM",
        "TANH",
        "TILE",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    ]
)
_DTYPES = ("int64", "int16", "string", "complex64", "float64")


def judge(content: bytes) -> TargetReport:
    """Returns which operations the delegate takes; the others run on the CPU, at the price of copies."""
    # Imported here: TFLite Micro's process imports this package, and has no use for TensorFlow.
    import tensorflow as tf

    printed = io.StringIO()
    with redirect_stdout(printed):
        tf.lite.experimental.Analyzer.analyze(model_content=content, gpu_compatibility=True)
    warnings = read_warnings(printed.getvalue())
    operators = read_operators(content)
    numbers = {id(operator): number for number, operator in enumerate(operators)}

    def unsupported_reason(operator: Operator) -> str:
        if operator.op.startswith("Flex"):
            return "it needs TensorFlow's own kernels"
        if any(tensor.is_dynamic for tensor in (*operator.inputs, *operator.outputs)):
            return "its shape is not fixed"
        dtypes = {tensor.dtype for tensor in operator.outputs} & set(_DTYPES)
        if dtypes:
            return f"a GPU computes no {' and '.join(sorted(dtypes))}"
        if operator.op not in _OPS:
            return "the delegate does not have it"
        masks = ("ellipsisMask", "newAxisMask", "shrinkAxisMask")
        if operator.op == "STRIDED_SLICE" and any(operator.options.get(mask) for mask in masks):
            return "it slices with an ellipsis, a new axis or an axis left out"
        return warnings.get(numbers[id(operator)], "")

    placements = place(operators, unsupported_reason)
    return TargetReport(
        "gpu",
        True,
        accelerated_share(placements),
        placements,
        summarize(placements),
        f"the GPU delegate's list of operations, November 2026, and its analyzer in TensorFlow {tf.__version__}",
    )


def read_warnings(printed: str) -> dict[int, str]:
    """Returns the analyzer's warnings by the number of the operation that each follows."""
    warnings: dict[int, str] = {}
    number = -1
    for line in printed.splitlines():
        if line.startswith("Subgraph#") and not line.startswith("Subgraph#0"):
            break
        if operator := _NODE.match(line):
            number = int(operator[1])
        elif (warning := _WARNING.search(line)) and number >= 0 and "Subgraph" not in warning[1]:
            warnings[number] = f"the delegate's analyzer says: {warning[1].strip()}"
    return warnings
