"""What became of each operation of a quantized file, and what a person can do about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slimline.core.quantization.production import Product
from slimline.core.tflite.activations import ActivationError, added_noise
from slimline.core.tflite.flatbuffer import Operation, WeightTensor, counterparts, operations, weight_tensors

# At 30 dB the noise has 3% of the signal's amplitude, at 20 dB a tenth of it.
GOOD_DB, FAIR_DB = 30.0, 20.0
# A layer that adds less is no cause worth to be named first.
MIN_ADDED = 10 ** (-FAIR_DB / 10)
_WIDE_SPREAD = 50.0
_NO_LAYER = ("QUANTIZE", "DEQUANTIZE")
# Classes that never occur have scores near zero, whose noise is of no consequence.
_PROBABILITIES = ("SOFTMAX", "LOGISTIC")


@dataclass(frozen=True)
class LayerReport:
    """One operation of the file.

    Attributes:
      layers: The Keras layers that it was made from, as far as names tell.
      op: As `CONV_2D`.
      tensor: Name of its output.
      dtype: Of its output.
      weight_dtype: Of its weights; None without weights.
      weight_bytes: Of all its constants.
      float_weight_bytes: Of the same operation's in the float file; None when it has none there.
      sparsity: Share of zeros in its weights, from 0 to 1; None without weights.
      max_distinct_per_channel: Different weights in the channel that has most; None without weights.
      sqnr_db: Signal-to-quantization-noise ratio in dB; None without any noise, and when it was not compared.
      lost_channels: Channels whose noise is as large as their signal; None when it was not compared.
      num_channels: Of the output; None when it was not compared.
      added_noise: Share of noise that its inputs do not have, from 0 to 1; None when it was not compared.
      remark: What the error means and what helps; empty when there is nothing to do.
    """

    layers: tuple[str, ...]
    op: str
    tensor: str
    dtype: str
    weight_dtype: str | None
    weight_bytes: int
    float_weight_bytes: int | None
    sparsity: float | None
    max_distinct_per_channel: int | None
    sqnr_db: float | None
    lost_channels: int | None
    num_channels: int | None
    added_noise: float | None
    remark: str


def describe_layers(
    product: Product, errors: Sequence[ActivationError], layer_names: Sequence[str]
) -> tuple[LayerReport, ...]:
    """Returns one entry per operation of the file, in the order in which they run."""
    listed = operations(product.float_content)
    others = counterparts(listed, operations(product.content))
    by_name = {operation.output: error for error in errors if (operation := others.get(error.operation.output))}
    noise = added_noise(errors)
    added = {name: noise[error.operation.output] for name, error in by_name.items()}
    weights = {tensor.output: tensor for tensor in weight_tensors(product.content)}
    before = {others[operation.output].output: operation for operation in listed if operation.output in others}
    return tuple(
        _describe_layer(
            operation,
            by_name.get(operation.output),
            added.get(operation.output),
            weights.get(operation.output),
            before.get(operation.output),
            _layers_of(operation.output, layer_names),
        )
        for operation in operations(product.content)
        if operation.op not in _NO_LAYER
    )


def _describe_layer(
    operation: Operation,
    error: ActivationError | None,
    added: float | None,
    weights: WeightTensor | None,
    before: Operation | None,
    layers: Sequence[str],
) -> LayerReport:
    return LayerReport(
        layers=tuple(layers),
        op=operation.op,
        tensor=operation.output,
        dtype=operation.output_dtype,
        weight_dtype=operation.weight_dtype or None,
        weight_bytes=operation.weight_bytes,
        float_weight_bytes=before.weight_bytes if before else None,
        sparsity=weights.num_zeros / weights.num_weights if weights else None,
        max_distinct_per_channel=weights.max_distinct_per_channel if weights else None,
        sqnr_db=finite_or_none(error.sqnr_db) if error else None,
        lost_channels=error.lost_channels if error else None,
        num_channels=len(error.signal) if error else None,
        added_noise=added,
        remark=remark(error, added) if error and added is not None else "",
    )


def remark(error: ActivationError, added: float) -> str:
    """Says what an error means and what can be done about it; empty when there is nothing to do.

    Args:
      error: Of an operation.
      added: The share of noise that its inputs do not have.
    """
    lost = f"{error.lost_channels} of {len(error.signal)} channels are lost"
    is_close = error.sqnr_db >= GOOD_DB and error.operation.op in _PROBABILITIES
    if is_close or (error.noise_share <= MIN_ADDED and not error.lost_channels):
        return ""
    if added <= MIN_ADDED:
        return "it passes on the noise of its inputs"
    if error.spread >= _WIDE_SPREAD and error.lost_channels:
        return (
            f"{lost}: the largest channel is {error.spread:,.0f} times the median one, and all share one scale. Bring "
            "the channels to like ranges (BatchNormalization, or a bounded activation such as ReLU6), or keep this "
            "layer with selective"
        )
    noise = math.sqrt(float(error.noise.sum()) / max(float(error.signal.sum()), 1e-300))
    return (
        f"its noise has {100 * noise:.0f}% of the signal's amplitude{f', and {lost}' if error.lost_channels else ''}: "
        "other calibration records, int16x8, or quantization-aware training may help"
    )


def _layers_of(tensor: str, layer_names: Sequence[str]) -> list[str]:
    """Returns the Keras layers that an operation was made from, as far as its output's name tells."""
    parts = {part for path in tensor.split(";") for part in path.split("/")}
    bare = {part.removeprefix("quant_").removeprefix("qat_") for part in parts}
    return [name for name in layer_names if name in bare]


def finite_or_none(value: float) -> float | None:
    """Returns a number that JSON can hold, or None."""
    return value if math.isfinite(value) else None
