"""Measures a file itself: bytes, latency and memory, in a process of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slimline.core.evaluation.gates import GateConfig
from slimline.core.isolation import IsolatedError, IsolatedProcess
from slimline.core.models.saving import gzip_size
from slimline.core.tflite.model_server import load, measure_latency, peak_memory_bytes, remember_memory
from slimline.core.tflite.runtime import Latency
from slimline.errors import ModelError


@dataclass(frozen=True)
class Measurement:
    """What a file weighs and takes on this host.

    Attributes:
      size_bytes: Of the file.
      gzip_bytes: Of the file after gzip at level 9.
      latency: One thread, warm.
      memory_bytes: By how much the process grew at most: the model, its tensors and kernels.
    """

    size_bytes: int
    gzip_bytes: int
    latency: Latency
    memory_bytes: int


def measure(content: bytes, name: str, example: Mapping[str, np.ndarray], config: GateConfig) -> Measurement:
    """Loads and times a file.

    Args:
      content: Bytes of a `.tflite` file.
      name: For messages.
      example: Real values by input name, each of shape (1, …).
      config: Limits of time and memory.

    Raises:
      ModelError: The file can't be run.
    """
    with IsolatedProcess(config.memory_limit_bytes) as process:
        try:
            process.call(remember_memory, time_limit_s=config.time_limit_s)
            process.call(load, content, name, time_limit_s=config.time_limit_s)
            latency = process.call(measure_latency, dict(example), time_limit_s=config.time_limit_s)
            memory_bytes = process.call(peak_memory_bytes, time_limit_s=config.time_limit_s)
        except RuntimeError as error:
            text = str(error).strip().splitlines()[-1]
            raise ModelError(f"{name}, which failed: {text}", "a model that runs", "choose another scheme") from error
        except IsolatedError as error:
            raise ModelError(
                f"{name}, which {error.text} while it was timed", "a model that runs", "choose another scheme"
            ) from error
    return Measurement(len(content), gzip_size(content), latency, memory_bytes)
