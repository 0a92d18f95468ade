"""Looks at what every operation of a `.tflite` model gives, and how far it is from the float model's.

These functions run models whose outcome is not known yet: call them through `slimline.core.isolation`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimline.core.tflite.flatbuffer import Operation, counterparts, operations
from slimline.core.tflite.runtime import TFLiteModel

_FLOATS = ("float32", "float16")
# Below 10 dB the noise is a tenth of the signal's power, and a channel says little more than its sign.
_LOST_CHANNEL = 0.1


@dataclass(frozen=True)
class ActivationError:
    """How far the output of an operation is from that of the float model, over some records.

    Attributes:
      operation: In the float file.
      signal: Power of the float model's values per channel, the last dimension; of shape (channels,).
      noise: Power of the difference per channel, of shape (channels,).
      largest: Largest magnitude per channel of the float model, of shape (channels,).
    """

    operation: Operation
    signal: np.ndarray
    noise: np.ndarray
    largest: np.ndarray

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio over all channels, in dB; infinite without noise."""
        return decibels(float(self.signal.sum()), float(self.noise.sum()))

    @property
    def noise_share(self) -> float:
        """Mean over the channels that carry a signal of the noise's share of it, each at most 1.

        One channel of large values hides what happens to the small ones in a ratio over all.
        """
        alive = self.signal > 0
        if not alive.any():
            return 0.0
        return float(np.minimum(self.noise[alive] / self.signal[alive], 1.0).mean())

    @property
    def lost_channels(self) -> int:
        """Channels in which more than a tenth of the signal's power is noise."""
        return int(((self.signal > 0) & (self.noise > _LOST_CHANNEL * self.signal)).sum())

    @property
    def spread(self) -> float:
        """Largest channel's magnitude over that of the median channel, of those that are not dead."""
        alive = self.largest[self.largest > 0]
        return float(alive.max() / np.median(alive)) if alive.size else 1.0


def added_noise(errors: Sequence[ActivationError]) -> dict[str, float]:
    """Returns for each operation's output the share of noise beyond that of its inputs.

    An operation that passes on what it got is not the cause of anything.
    """
    shares = {error.operation.output: error.noise_share for error in errors}
    return {
        error.operation.output: error.noise_share
        - max((shares.get(name, 0.0) for name in error.operation.inputs), default=0.0)
        for error in errors
    }


def decibels(signal: float, noise: float) -> float:
    """Returns 10 log10(signal / noise), at least -100: infinite without noise."""
    if noise == 0:
        return float("inf")
    return float(max(10 * np.log10(signal / noise), -100)) if signal > 0 else -100.0


def run_model(content: bytes, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a model's outputs by name, as `TFLiteModel.predict` does."""
    return TFLiteModel(content, name).predict(inputs)


def activation_ranges(content: bytes, inputs: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns minimum and maximum of every float tensor that is computed, record by record.

    Args:
      content: A float `.tflite` file.
      inputs: By name, each of shape (records, …).

    Returns:
      By tensor name a pair of arrays of shape (records,).
    """
    model = TFLiteModel(content, "the float model", observed=True)
    computed = [operation for operation in operations(content) if operation.output_dtype in _FLOATS]
    found: dict[str, tuple[list[float], list[float]]] = {operation.output: ([], []) for operation in computed}
    for row in _rows(inputs):
        model.predict(row)
        for operation in computed:
            values = model.activation(operation.output_index)
            values = values[np.isfinite(values)]
            found[operation.output][0].append(float(values.min(initial=np.inf)))
            found[operation.output][1].append(float(values.max(initial=-np.inf)))
    return {name: (np.array(low), np.array(high)) for name, (low, high) in found.items()}


def activation_errors(
    float_content: bytes, content: bytes, inputs: Mapping[str, np.ndarray]
) -> tuple[ActivationError, ...]:
    """Compares what the operations of two files give on the same records.

    Args:
      float_content: The float model's file.
      content: The quantized one's. Tensors of the same name and shape are compared.
      inputs: By name, each of shape (records, …).

    Returns:
      One error per operation of the float file that is found in the other, in the order in which they run.
    """
    reference = TFLiteModel(float_content, "the float model", observed=True)
    model = TFLiteModel(content, "the quantized model", observed=True)
    listed = operations(float_content)
    others = counterparts(listed, operations(content))
    pairs = [
        (operation, others[operation.output])
        for operation in listed
        if operation.output in others and operation.output_dtype in _FLOATS
    ]
    sums: dict[str, list[np.ndarray]] = {}
    for row in _rows(inputs):
        reference.predict(row)
        model.predict(row)
        for operation, other in pairs:
            wanted = _by_channel(reference, operation.output_index)
            given = _by_channel(model, other.output_index)
            if wanted.shape != given.shape:
                continue
            # Where the float model itself is infinite there is nothing to compare; elsewhere that is all noise.
            is_known = np.isfinite(wanted)
            wanted = np.where(is_known, wanted, 0)
            noise = np.where(is_known, np.nan_to_num(np.square(wanted - given), nan=np.inf, posinf=np.inf), 0)
            found = [np.square(wanted).sum(0), noise.sum(0), np.abs(wanted).max(0)]
            if operation.output not in sums:
                sums[operation.output] = found
            else:
                signal, noise, largest = sums[operation.output]
                sums[operation.output] = [signal + found[0], noise + found[1], np.maximum(largest, found[2])]
    return tuple(
        ActivationError(operation, *sums[operation.output]) for operation, _ in pairs if operation.output in sums
    )


def _by_channel(model: TFLiteModel, tensor: int) -> np.ndarray:
    values = model.activation(tensor).astype(np.float64)
    return values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)


def _rows(inputs: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    for index in range(len(next(iter(inputs.values())))):
        yield {name: values[index : index + 1] for name, values in inputs.items()}
