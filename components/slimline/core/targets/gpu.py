"""Mobile GPUs with LiteRT's GPU delegate, judged by the delegate's own analyzer.

It prints its verdict as text; an operation that the delegate does not take is followed by a warning.
"""

import io
import re
from contextlib import redirect_stdout

import tensorflow as tf

from slimline.core.targets.graph import Node, read_nodes
from slimline.core.targets.report import TargetReport, accelerated_share, place, summarize

_NODE = re.compile(r"^\s*Op#(\d+) ")
_WARNING = re.compile(r"GPU COMPATIBILITY WARNING: (.*)")
_DTYPES = ("int64", "int16", "string", "complex64", "float64")


def judge(content: bytes) -> TargetReport:
    """Returns which operations the delegate takes; the others run on the CPU, at the price of copies."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        tf.lite.experimental.Analyzer.analyze(model_content=content, gpu_compatibility=True)
    warnings = read_warnings(printed.getvalue())
    nodes = read_nodes(content)
    numbers = {id(node): number for number, node in enumerate(nodes)}

    def obstacle(node: Node) -> str:
        if node.op.startswith("Flex"):
            return "it needs TensorFlow's own kernels"
        if any(tensor.is_dynamic for tensor in (*node.inputs, *node.outputs)):
            return "its shape is not fixed"
        dtypes = {tensor.dtype for tensor in node.outputs} & set(_DTYPES)
        if dtypes:
            return f"a GPU computes no {' and '.join(sorted(dtypes))}"
        return warnings.get(numbers[id(node)], "")

    placements = place(nodes, obstacle)
    return TargetReport(
        "gpu",
        True,
        accelerated_share(placements),
        placements,
        summarize(placements),
        f"the GPU delegate's analyzer in TensorFlow {tf.__version__}",
    )


def read_warnings(printed: str) -> dict[int, str]:
    """Returns the analyzer's warnings by the number of the operation that each follows."""
    warnings: dict[int, str] = {}
    number = -1
    for line in printed.splitlines():
        if node := _NODE.match(line):
            number = int(node[1])
        elif (warning := _WARNING.search(line)) and number >= 0 and "Subgraph" not in warning[1]:
            warnings[number] = f"the delegate's analyzer says: {warning[1].strip()}"
    return warnings
