"""Makes a quantized file, runs it, and describes what came out: what the Quantizer and `slimline quantize` deliver."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from slimline.core.isolation import IsolatedError, run_isolated
from slimline.core.models.loading import SavedModelGraph, TrainedModel, as_tf_keras
from slimline.core.models.rebuilding import random_inputs
from slimline.core.quantization.backends.base import Representative
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize, require_integers, start_conversion
from slimline.core.quantization.selective import Selection, search
from slimline.core.tflite.activations import ActivationError, activation_errors
from slimline.core.tflite.comparison import OutputComparison, compare_outputs
from slimline.core.tflite.smoke_run import run_smoke_test
from slimline.errors import ModelError

# What is looked at of the records; the order of rank makes the first ones a random choice.
_MAX_TRIED = 100
_MAX_OBSERVED = 32
_MAX_SEARCHED = 256
_BATCH_SIZE = 32

Tell = Callable[[str], None]


@dataclass(frozen=True)
class SampleInputs:
    """Inputs that a file is tried on.

    Attributes:
      inputs: Real values by input name, each of shape (records, …).
      source: `calibration`, or `random` when there are no records.
    """

    inputs: Mapping[str, np.ndarray]
    source: Literal["calibration", "random"]

    def first(self, number: int) -> dict[str, np.ndarray]:
        """Returns the first records."""
        return {name: values[:number] for name, values in self.inputs.items()}

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Product:
    """A file, and the float file that it is compared with.

    Attributes:
      content: Bytes of the quantized `.tflite` file.
      float_content: Bytes of the model's plain conversion.
      selection: The search for layers to keep, when there was one.
    """

    content: bytes
    float_content: bytes
    selection: Selection | None = None


@dataclass(frozen=True)
class Examination:
    """What came out when a file was run.

    Attributes:
      num_tried: Records that it was run on.
      outputs: How its outputs compare with the model's.
      errors: How its operations compare with the float file's; empty when they have other names.
    """

    num_tried: int
    outputs: Mapping[str, OutputComparison]
    errors: tuple[ActivationError, ...]


def gather_records(
    model: TrainedModel, representative: Representative | None, limit: int | None = _MAX_SEARCHED
) -> SampleInputs | None:
    """Returns records to try a file on: calibration records, or random values where there are none.

    None for a model that takes strings, when there are no calibration records: no random string is like a real one.

    Args:
      model: The model.
      representative: As for `quantize`.
      limit: Calibration records at most; None for all of them.
    """
    model = as_tf_keras(model)
    if representative is not None:
        return SampleInputs(_stack(representative(), limit), "calibration")
    values = random_inputs(model.inputs)
    if values is None:
        return None
    return SampleInputs(dict(zip(model.input_names, values, strict=True)), "random")


def convert_float(model: TrainedModel, config: QuantizationConfig) -> bytes:
    """Returns the float file that the quantized one is compared with."""
    plain = QuantizationConfig(
        scheme="float32", static_batch=config.static_batch, allow_select_ops=config.allow_select_ops
    )
    return quantize(model, plain)


def produce(
    model: TrainedModel,
    config: QuantizationConfig,
    representative: Representative | None = None,
    tell: Tell = lambda text: None,
) -> Product:
    """Converts a model after its training, and searches for layers to keep where the configuration asks for it.

    Args:
      model: Of any kind that `load_model` returns.
      config: The scheme, decided.
      representative: As for `quantize`.
      tell: Takes a line for each file that is tried on the way.

    Raises:
      ConfigError: Calibration records are missing.
      ModelError: The model can't be converted, or the file can't be run.

    Example:
      >>> import tf_keras
      >>> layers = [tf_keras.layers.Input((4,), name="x"), tf_keras.layers.Dense(1, name="y")]
      >>> model = tf_keras.Sequential(layers)
      >>> product = produce(model, QuantizationConfig(scheme="dynamic_range"))
      >>> examination = examine(model, product, gather_records(model, None))
      >>> examination.outputs["y"].sqnr_db > 20
      True
    """
    model = as_tf_keras(model)
    float_content = convert_float(model, config)
    if config.selective is None:
        return Product(quantize(model, config, representative), float_content)
    assert representative is not None
    conversion = start_conversion(model, config, representative)
    inputs = _stack(representative(), _MAX_SEARCHED)
    limit = config.time_limit_s

    def convert(kept: frozenset[str]) -> bytes:
        tell(f"int8 with {len(kept)} operation(s) in {config.selective.keep}" if config.selective else "")
        return conversion.convert(kept)

    def run(content: bytes) -> Mapping[str, np.ndarray]:
        return run_smoke_test(content, model.name, inputs, limit)

    def measure_errors(content: bytes) -> tuple[ActivationError, ...]:
        few = {name: values[:_MAX_OBSERVED] for name, values in inputs.items()}
        return _activation_errors(float_content, content, few, limit)

    selection = search(config.selective, _predict(model, inputs), convert, run, measure_errors)
    content = selection.best.content
    assert content is not None
    if not selection.best.kept:
        require_integers(content, model.name)
    return Product(content, float_content, selection)


def examine(model: TrainedModel, product: Product, records: SampleInputs, time_limit_s: float = 600) -> Examination:
    """Runs a file in a process of its own and compares it with the model that it was made of.

    Args:
      model: The original.
      product: The file, and the float file.
      records: What to run it on.
      time_limit_s: Seconds that it may take.

    Raises:
      ModelError: The file can't be run, or gives NaN or infinity; the message names the operation or the output.
    """
    model = as_tf_keras(model)
    inputs = records.first(_MAX_TRIED)
    outputs = run_smoke_test(product.content, model.name, inputs, time_limit_s)
    wanted = _predict(model, inputs)
    _require_finite(wanted, "the float model itself", "train it again, or clean the records")
    _require_finite(outputs, f"{model.name} once it is quantized", "choose another scheme: float16 ends at 65,504")
    compared = compare_outputs(wanted, outputs)
    errors = _activation_errors(product.float_content, product.content, records.first(_MAX_OBSERVED), time_limit_s)
    return Examination(len(next(iter(inputs.values()))), compared, errors)


def _require_finite(outputs: Mapping[str, np.ndarray], what: str, remedy: str) -> None:
    broken = [name for name, values in outputs.items() if not np.isfinite(values).all()]
    if broken:
        raise ModelError(f"{what}, whose output {broken[0]!r} is NaN or infinite", "finite outputs", remedy)


def _activation_errors(
    float_content: bytes, content: bytes, inputs: Mapping[str, np.ndarray], time_limit_s: float
) -> tuple[ActivationError, ...]:
    try:
        errors: tuple[ActivationError, ...] = run_isolated(
            activation_errors, float_content, content, inputs, time_limit_s=time_limit_s
        )
    except IsolatedError as error:
        # It ran before, with the delegate's kernels; those that show what is inside may lack one.
        raise ModelError(
            f"a file that {error.text} when its operations were looked at",
            "a file that runs with LiteRT's built-in kernels too",
            "raise time_limit_s, or choose another scheme",
        ) from error
    return errors


def _predict(model: TrainedModel, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the original model's outputs by name, each of shape (records, …)."""
    is_open = isinstance(model, SavedModelGraph) or all(tensor.shape[0] is None for tensor in model.inputs)
    size = _BATCH_SIZE if is_open else 1
    number = len(next(iter(inputs.values())))
    batches = []
    for start in range(0, number, size):
        batch = {name: tf.constant(values[start : start + size]) for name, values in inputs.items()}
        listed = [batch[name] for name in model.input_names]
        outputs = model(listed[0] if len(listed) == 1 else listed, training=False)
        batches.append([np.asarray(output, np.float32) for output in tf.nest.flatten(outputs)])
    return {
        name: np.concatenate(parts) for name, parts in zip(model.output_names, zip(*batches, strict=True), strict=True)
    }


def _stack(records: Iterable[Mapping[str, Any]], limit: int | None = _MAX_SEARCHED) -> dict[str, np.ndarray]:
    listed = list(islice(records, limit))
    return {name: np.concatenate([np.asarray(record[name]) for record in listed]) for name in listed[0]}
