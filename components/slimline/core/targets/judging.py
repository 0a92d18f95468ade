"""The table of targets: a new one is a module with `judge`, a line here, and its name in `slimline.core.schemes`."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from slimline.core.schemes import Target
from slimline.core.targets import cpu, edgetpu, ethos_u, gpu, hexagon, micro
from slimline.core.targets.options import EthosUConfig
from slimline.core.targets.report import TargetReport

_Examples: TypeAlias = Mapping[str, np.ndarray] | None

_JUDGES: dict[Target, Callable[[bytes, _Examples, EthosUConfig], TargetReport]] = {
    "cpu": lambda content, *_: cpu.judge(content),
    "gpu": lambda content, *_: gpu.judge(content),
    "edgetpu": lambda content, *_: edgetpu.judge(content),
    "hexagon": lambda content, *_: hexagon.judge(content),
    "micro": lambda content, examples, _: micro.judge(content, examples),
    "ethos_u": lambda content, _, config: ethos_u.judge(content, config),
}


def judge_target(
    target: Target,
    content: bytes,
    examples: Mapping[str, np.ndarray] | None = None,
    config: EthosUConfig | None = None,
) -> TargetReport:
    """Returns what a target makes of a file.

    Args:
      target: Its name.
      content: Bytes of a `.tflite` file.
      examples: Real values by input name, each of shape (examples, …), for targets that are run here.
      config: Of `ethos_u`; an Ethos-U55 of 128 units when left out.

    Raises:
      ConfigError: What the target needs is not installed.
    """
    return _JUDGES[target](content, examples, config or EthosUConfig())
