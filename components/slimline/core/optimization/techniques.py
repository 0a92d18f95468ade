"""The techniques that change a Keras model's weights, and what each of them gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import tf_keras

from slimline.core.models.weights import KernelCount


class Technique(StrEnum):
    """What can be done to a model whose layers are known."""

    PRUNING = "pruning"
    CLUSTERING = "clustering"
    QAT = "qat"


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
