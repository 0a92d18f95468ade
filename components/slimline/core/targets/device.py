"""Figures that were measured on a device: the JSON of LiteRT's own benchmark.

`python -m ai_edge_litert.tools.benchmark_litert_model --model=FILE --result_json=JSON` writes it on the device.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from slimline.errors import ConfigError

_FIGURES = ("avg", "median", "p95")
_BYTES_PER_MB = 1024 * 1024
# The benchmark rounds megabytes to two places.
_SIZE_TOLERANCE_MB = 0.0051


@dataclass(frozen=True)
class DeviceMeasurement:
    """What was measured of one file on a device.

    Attributes:
      source: Path of the JSON.
      latency_ms: By figure: `avg`, `median`, `p95`.
      num_threads: Threads that were used.
      accelerators: As the benchmark names them, such as `CPU`.
      fully_accelerated: Whether no operation was left to the CPU.
    """

    source: str
    latency_ms: Mapping[str, float]
    num_threads: int
    accelerators: tuple[str, ...]
    fully_accelerated: bool


def read_measurement(path: str, size_bytes: int | None) -> DeviceMeasurement:
    """Reads a benchmark's result.

    Args:
      path: Path or URI of the JSON.
      size_bytes: Of the candidate's file, when it is known: a measurement of another file is refused.

    Raises:
      ConfigError: There is no such file, it is no result of the benchmark, or it is that of another model.
    """
    is_special = "://" not in path and Path(path).exists() and not Path(path).is_file()
    if is_special or not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
        raise ConfigError(f"no file {path}", "a result of LiteRT's benchmark", "correct device.measurements")
    with tf.io.gfile.GFile(path, "rb") as stream:
        text = stream.read()
    try:
        content: dict[str, Any] = json.loads(text)
        latency = {name: float(content["latency"][f"{name}_ms"]) for name in _FIGURES}
        measurement = DeviceMeasurement(
            path,
            latency,
            int(content["num_threads"]),
            tuple(str(name) for name in content["accelerators"]),
            bool(content["fully_accelerated"]),
        )
        size_mb = float(content["model_size_mb"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}, which is no result of LiteRT's benchmark: {error!r}",
            "the JSON of benchmark_litert_model --result_json",
            "measure again",
        ) from None
    if size_bytes is not None and abs(size_mb - size_bytes / _BYTES_PER_MB) > _SIZE_TOLERANCE_MB:
        raise ConfigError(
            f"{path}, measured of a file of {size_mb} MB",
            f"of this candidate's {size_bytes / _BYTES_PER_MB:.2f} MB",
            "measure this file, or correct device.measurements",
        )
    return measurement
