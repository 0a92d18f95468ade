"""Counts what pruning and clustering did to a model's weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tf_keras

_L = tf_keras.layers
# Their depthwise kernels have an output channel for each pair of the last two dimensions.
_DEPTHWISE = (_L.DepthwiseConv1D, _L.DepthwiseConv2D, _L.SeparableConv1D, _L.SeparableConv2D)
# Their kernels have the output channels before the input channels.
_TRANSPOSED = (_L.Conv1DTranspose, _L.Conv2DTranspose, _L.Conv3DTranspose)


@dataclass(frozen=True)
class KernelCount:
    """One kernel, counted.

    Attributes:
      layer: Name of the layer that the kernel belongs to.
      kernel: Name of the variable behind that of the layer; recurrent and separable layers have two.
      num_weights: Weights in the kernel.
      num_zeros: Of them, exact zeros.
      num_distinct: Different values, zero included.
      num_zeros_int8: Weights that are zero once the kernel is rounded to int8, channel by channel. Many are even in a
        model that nobody pruned, so that this is what the zeros of an int8 file have to be compared with.
    """

    layer: str
    kernel: str
    num_weights: int
    num_zeros: int
    num_distinct: int
    num_zeros_int8: int


def kernels(layer: tf_keras.layers.Layer) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and values of a layer's kernels and embeddings: the weights that make up a model's size.

    Biases and normalization are left out: neither pruning nor clustering touches them.
    """
    for variable in layer.weights:
        name = variable.name.removesuffix(":0")
        if name.endswith(("kernel", "embeddings")):
            yield name, variable.numpy()


def optimized_kernels(layer: tf_keras.layers.Layer) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the kernels of a layer that TFMOT prunes and clusters: of a separable layer the pointwise one alone."""
    return ((name, values) for name, values in kernels(layer) if not is_depthwise(name))


def is_depthwise(kernel: str) -> bool:
    """Returns whether a kernel is, by its name, a depthwise one, which TFMOT neither prunes nor clusters."""
    return kernel.endswith("depthwise_kernel")


def count_kernels(model: tf_keras.Model) -> tuple[KernelCount, ...]:
    """Counts zeros and distinct values in each kernel of a model."""
    return tuple(count for layer in model.layers for count in count_layer(layer))


def count_layer(layer: tf_keras.layers.Layer) -> tuple[KernelCount, ...]:
    """Counts zeros and distinct values in each kernel of a layer."""
    return tuple(
        KernelCount(
            layer.name,
            f"{layer.name}/{name.rpartition('/')[2]}",
            values.size,
            int(values.size - np.count_nonzero(values)),
            np.unique(values).size,
            _num_zeros_int8(layer, values),
        )
        for name, values in kernels(layer)
    )


def sparsity(counts: Sequence[KernelCount]) -> float:
    """Returns the share of zeros in all kernels together, from 0 to 1."""
    num_weights = sum(count.num_weights for count in counts)
    return sum(count.num_zeros for count in counts) / num_weights if num_weights else 0.0


def max_distinct(counts: Sequence[KernelCount]) -> int:
    """Returns the largest number of different weights in any kernel, 0 when there is none."""
    return max((count.num_distinct for count in counts), default=0)


def non_finite_variables(model: tf_keras.Model) -> list[str]:
    """Returns the names of variables that hold NaN or infinity."""
    return [
        variable.name
        for variable in model.weights
        if np.issubdtype(variable.dtype.as_numpy_dtype, np.floating) and not np.isfinite(variable.numpy()).all()
    ]


def _by_channel(layer: tf_keras.layers.Layer, values: np.ndarray) -> np.ndarray:
    """Lays a kernel out with one column for each scale that TFLite gives it.

    That is one per output channel; see
    https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.
    """
    if isinstance(layer, _DEPTHWISE) and values.shape[-1] == layer.depth_multiplier:
        return values.reshape(-1, values.shape[-2] * values.shape[-1])
    if isinstance(layer, _TRANSPOSED):
        return np.moveaxis(values, -2, -1).reshape(-1, values.shape[-2])
    return values.reshape(-1, values.shape[-1])


def _num_zeros_int8(layer: tf_keras.layers.Layer, values: np.ndarray) -> int:
    """Counts zeros after rounding, symmetrically to [-127, 127] with one scale per channel.

    An embedding is rounded like an activation: as a whole, to 256 steps from its smallest value to its largest. That is
    an estimate, since the file's range is that of the rows which calibration sees.
    """
    by_channel = _by_channel(layer, values)
    scales = np.abs(by_channel).max(axis=0) / 127
    if isinstance(layer, _L.Embedding):
        scales = np.float32((max(values.max(), 0) - min(values.min(), 0)) / 255)
    return int(np.count_nonzero(np.round(np.abs(by_channel) / np.where(scales > 0, scales, 1)) == 0))
