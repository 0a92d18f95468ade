"""The lines with which a firmware registers the operations that a file needs, and no others.

TFLite Micro's `AllOpsResolver` links every kernel; `MicroMutableOpResolver` links those that are added to it. Methods
are those of tensorflow/lite/micro/micro_mutable_op_resolver.h in https://github.com/tensorflow/tflite-micro, read in
August 2026.
"""

from collections.abc import Sequence

from slimline.core.tflite.graph import Operator

# All others are called as the operation is, word by word.
_IRREGULAR = {
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "CONV_2D": "AddConv2D",
    "CUMSUM": "AddCumSum",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "L2_POOL_2D": "AddL2Pool2D",
    "MAX_POOL_2D": "AddMaxPool2D",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "TFLite_Detection_PostProcess": "AddDetectionPostprocess",
    "ethos-u": "AddEthosU",
}


def resolver_lines(operators: Sequence[Operator]) -> tuple[str, ...]:
    """Returns C++ lines: the resolver, with one call for each kind of operation, in alphabetical order."""
    methods = sorted({_method(operator.op) for operator in operators})
    return (
        f"tflite::MicroMutableOpResolver<{len(methods)}> resolver;",
        *(f"resolver.{method}();" for method in methods),
    )


def _method(op: str) -> str:
    return _IRREGULAR.get(op) or "Add" + "".join(word.capitalize() for word in op.split("_"))
