"""The table of targets: a new one is a module with `judge`, a line here, and its name in `slimline.core.schemes`."""

from collections.abc import Callable, Mapping

import numpy as np

from slimline.core.schemes import Target
from slimline.core.targets import cpu, edgetpu, gpu, hexagon, micro
from slimline.core.targets.report import TargetReport

_JUDGES: dict[Target, Callable[[bytes], TargetReport]] = {
    "cpu": cpu.judge,
    "gpu": gpu.judge,
    "edgetpu": edgetpu.judge,
    "hexagon": hexagon.judge,
    "micro": micro.judge,
}


def judge_target(target: Target, content: bytes, example: Mapping[str, np.ndarray] | None = None) -> TargetReport:
    """Returns what a target makes of a file.

    Args:
      target: Its name.
      content: Bytes of a `.tflite` file.
      example: Real values by input name, for targets that are run here.

    Raises:
      ConfigError: What the target needs is not installed.
    """
    return micro.judge(content, example) if target == "micro" else _JUDGES[target](content)
