"""What a child process does with a candidate: load it once, then predict batch after batch.

Call these functions through one `slimline.core.isolation.IsolatedProcess`: the model stays in the child.
"""

import resource
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slimline.core.runtime import Latency, TFLiteModel

_KIB = 1024
_loaded: list[TFLiteModel] = []
_memory_before_kib: list[int] = []


@dataclass(frozen=True)
class Ends:
    """Inputs and outputs of a loaded file.

    Attributes:
      inputs: Shape of each input by name, without the batch.
      outputs: Shape of each output by name, without the batch.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]


def load(content: bytes, name: str) -> Ends:
    """Loads a file; it replaces one that was loaded before.

    Raises:
      ModelError: LiteRT can't load it.
    """
    _memory_before_kib[:] = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]
    _loaded[:] = [TFLiteModel(content, name)]
    return Ends(_loaded[0].input_shapes, _loaded[0].output_shapes)


def predict(inputs: Mapping[str, np.ndarray], output: str) -> np.ndarray:
    """Returns one output's real values for a batch.

    Raises:
      ModelError: An operation failed.
    """
    return _loaded[0].predict(inputs)[output]


def measure_latency(example: Mapping[str, np.ndarray]) -> Latency:
    """Times inferences of one example."""
    return _loaded[0].measure_latency(example)


def peak_memory_bytes() -> int:
    """Returns by how much the process grew at most since the file was loaded: the model, its tensors and kernels."""
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - _memory_before_kib[0]) * _KIB
