"""Gives a signature to `.tflite` files that have none, as those of other makers: MLPerf's, or older converters'.

A signature names inputs and outputs. Where it is missing, the graph's own tensors are named, without what TensorFlow's
export puts around their names.
"""

import re
from collections.abc import Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from slimline.core.tflite.graph import text

_KEY = "serving_default"
_PREFIX = re.compile(r"^serving_default_")
_SUFFIX = re.compile(r":\d+$")


def with_signature(content: bytes) -> bytes:
    """Returns a file with a signature: the same bytes where there is one.

    Args:
      content: Bytes of a `.tflite` file that LiteRT takes.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    if model.signatureDefs:
        return content
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = _KEY.encode()
    signature.subgraphIndex = 0
    signature.inputs = _entries(graph, graph.inputs)
    signature.outputs = _entries(graph, graph.outputs)
    model.signatureDefs = [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def end_names(names: Sequence[str]) -> list[str]:
    """Returns short, different names for the tensors at an end of a graph.

    Args:
      names: The tensors', as `serving_default_image:0`.
    """
    found: list[str] = []
    for number, name in enumerate(names):
        short = _SUFFIX.sub("", _PREFIX.sub("", name)) or f"tensor_{number}"
        found.append(short if short not in found else f"{short}_{number}")
    return found


def _entries(graph: Any, indices: Sequence[int]) -> list[Any]:
    names = end_names([text(graph.tensors[index].name) for index in indices])
    entries = []
    for name, index in zip(names, indices, strict=True):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), int(index)
        entries.append(entry)
    return entries
