"""What a child process does with a file: load it once, then predict batch after batch.

Call these functions through one `slimline.core.isolation.IsolatedProcess`: the model stays in the child.
"""

import contextlib
import re
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slimline.core.tflite.runtime import Latency, TFLiteModel

_KIB = 1024
_loaded: list[TFLiteModel] = []
_memory_before_kib: list[int] = []


@dataclass(frozen=True)
class Ends:
    """Inputs and outputs of a loaded file.

    Attributes:
      inputs: Shape of each input by name, without the batch.
      outputs: Shape of each output by name, without the batch.
      has_own_names: Whether the file names them itself, in a signature.
    """

    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, tuple[int | None, ...]]
    has_own_names: bool = True


def remember_memory() -> None:
    """Keeps what the process takes before a model comes: call it before `load`."""
    _memory_before_kib[:] = [_memory_kib("VmRSS")]


def load(content: bytes, name: str) -> Ends:
    """Loads a file; it replaces one that was loaded before.

    Raises:
      ModelError: LiteRT can't load it.
    """
    _loaded[:] = [TFLiteModel(content, name)]
    return Ends(_loaded[0].input_shapes, _loaded[0].output_shapes, _loaded[0].has_own_names)


def predict(inputs: Mapping[str, np.ndarray], output: str) -> np.ndarray:
    """Returns one output's real values for a batch.

    Raises:
      ModelError: An operation failed.
    """
    return _loaded[0].predict(inputs)[output]


def predict_all(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns every output's real values for a batch.

    Raises:
      ModelError: An operation failed.
    """
    return _loaded[0].predict(inputs)


def measure_latency(example: Mapping[str, np.ndarray]) -> Latency:
    """Times inferences of one example."""
    # What it took to hand the file over is not the model's.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _loaded[0].measure_latency(example)


def peak_memory_bytes() -> int:
    """Returns by how much the process had grown at most while it was timed: the model, its tensors and kernels."""
    return max(0, _memory_kib("VmHWM") - _memory_before_kib[0]) * _KIB


def _memory_kib(figure: str) -> int:
    """Returns a figure of this process alone: on Linux, `ru_maxrss` begins with what the parent had."""
    status = Path("/proc/self/status")
    found = re.search(rf"{figure}:\s*(\d+) kB", status.read_text()) if status.exists() else None
    if found:
        return int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // _KIB if sys.platform == "darwin" else peak
