"""What pruning and clustering did to a model's weights, counted."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import tf_keras


@dataclass(frozen=True)
class KernelCount:
    """One kernel, counted.

    Attributes:
      layer: Name of the layer that the kernel belongs to.
      kernel: Name of the variable; recurrent and separable layers have two.
      num_weights: Weights in the kernel.
      num_zeros: Of them, exact zeros.
      num_distinct: Different values, zero included.
    """

    layer: str
    kernel: str
    num_weights: int
    num_zeros: int
    num_distinct: int


@dataclass(frozen=True)
class OptimizedModel:
    """A pruned or clustered model, without TFMOT's wrappers, and what became of its kernels.

    Attributes:
      model: An ordinary Keras model of the same shape as the one given.
      kernels: Every kernel, counted.
      untouched: Names of layers with a kernel that were left as they are.
    """

    model: tf_keras.Model
    kernels: tuple[KernelCount, ...]
    untouched: tuple[str, ...]


def describe(model: tf_keras.Model, touched: Collection[str]) -> OptimizedModel:
    """Counts a model's kernels; `touched` are the names of the layers that were optimized."""
    counts = count_kernels(model)
    untouched = dict.fromkeys(count.layer for count in counts if count.layer not in touched)
    return OptimizedModel(model, counts, tuple(untouched))


def kernels(layer: tf_keras.layers.Layer) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and values of a layer's kernels and embeddings: the weights that make up a model's size.

    Biases and normalization are left out: neither pruning nor clustering touches them.
    """
    for variable in layer.weights:
        name = variable.name.removesuffix(":0")
        if name.endswith(("kernel", "embeddings")):
            yield name, variable.numpy()


def count_kernels(model: tf_keras.Model) -> tuple[KernelCount, ...]:
    """Counts zeros and distinct values in each kernel of a model."""
    return tuple(
        KernelCount(layer.name, name, values.size, int(values.size - np.count_nonzero(values)), np.unique(values).size)
        for layer in model.layers
        for name, values in kernels(layer)
    )


def sparsity(counts: tuple[KernelCount, ...]) -> float:
    """Returns the share of zeros in all kernels together, from 0 to 1."""
    num_weights = sum(count.num_weights for count in counts)
    return sum(count.num_zeros for count in counts) / num_weights if num_weights else 0.0
