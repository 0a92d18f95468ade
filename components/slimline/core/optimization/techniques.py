"""The techniques that change a Keras model's weights, and what each of them gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import tf_keras

from slimline.core.models.weights import KernelCount
from slimline.core.optimization.training import FineTuningConfig


class Technique(StrEnum):
    """What can be done to a model whose layers are known."""

    PRUNING = "pruning"
    CLUSTERING = "clustering"
    QAT = "qat"


class TechniqueConfig(FineTuningConfig):
    """What the configurations of pruning and clustering share.

    Attributes:
      custom_objects: Dotted path of a module with layers and functions of the user's own.
      on_lost_gain: What to do when zeros or clusters that an earlier technique made are lost: say so, or fail.
    """

    custom_objects: str | None = None
    on_lost_gain: Literal["warn", "error"] = "warn"


@dataclass(frozen=True)
class OptimizedModel:
    """A pruned or clustered model, without TFMOT's wrappers, and what became of its kernels.

    Attributes:
      technique: What was done.
      model: A flat Keras model that takes and gives the same as the one given.
      kernels: Every kernel, counted.
      left: Why some layers were left as they are, by the layer's name.
    """

    technique: Technique
    model: tf_keras.Model
    kernels: tuple[KernelCount, ...]
    left: Mapping[str, str]
