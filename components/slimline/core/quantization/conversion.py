"""Conversion to `.tflite`, with quantization, by a backend of choice."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tf_keras

from slimline.core.models.loading import TrainedModel, as_tf_keras
from slimline.core.models.rebuilding import is_half_precision, rebuild
from slimline.core.optimization.qat import QatModel
from slimline.core.quantization.backends import Conversion, Representative, Source, open_conversion
from slimline.core.quantization.backends.converter import ConverterConversion, Recipe
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.schemes import CALIBRATED_SCHEMES
from slimline.core.tflite.flatbuffer import float_operations, weight_tensors
from slimline.core.tflite.source import TFLiteSource
from slimline.errors import ConfigError, ExamplesError, ModelError


def quantize(model: TrainedModel, config: QuantizationConfig, representative: Representative | None = None) -> bytes:
    """Converts a model after its training into the bytes of a `.tflite` file.

    Its one signature has the model's input and output names.

    Args:
      model: Of any kind that `load_model` returns; it is not changed.
      config: The scheme, decided. `selective` is not looked at: `slimline.core.quantization.production` searches.
      representative: Gives the calibration records, each a dictionary from input name to an array of shape (1, …) and
        the input's dtype. Needed for `CALIBRATED_SCHEMES`; other schemes have no use for them.

    Raises:
      ConfigError: Calibration records are missing, or of other inputs.
      ModelError: The model can't be converted; the message names the operation that TFLite lacks.

    Example:
      >>> import numpy as np, tf_keras
      >>> model = tf_keras.Sequential([tf_keras.layers.Input((4,), name="x"), tf_keras.layers.Dense(1)])
      >>> records = lambda: ({"x": np.ones((1, 4), np.float32) * i} for i in range(10))
      >>> content = quantize(model, QuantizationConfig(scheme="int8"), records)
      >>> content[4:8]
      b'TFL3'
    """
    content = start_conversion(model, config, representative).convert()
    if config.scheme == "int8":
        require_integers(content, model.name)
    return content


def start_conversion(
    model: TrainedModel, config: QuantizationConfig, representative: Representative | None = None
) -> Conversion:
    """Checks what `quantize` is given and opens the backend, for files that differ in what they keep in float.

    Raises:
      ConfigError: Calibration records are missing, or of other inputs.
    """
    model = as_tf_keras(model)
    check_calibration(config, representative is not None)
    _require_records(representative, model.input_names)
    if isinstance(model, tf_keras.Model) and is_half_precision(model):
        model = rebuild(model)
    if isinstance(model, TFLiteSource):
        _require_rewritable(model, config)
        if config.scheme == "float32":
            return _Kept(model.content)
    needed = _filled(model, representative) if config.scheme in CALIBRATED_SCHEMES else None
    return open_conversion(Source(model, tuple(model.output_names), config, needed))


def _filled(model: TrainedModel, representative: Representative | None) -> Representative | None:
    """Repeats each record for a function that was exported for a batch of several."""
    size = getattr(model, "fixed_batch", None)
    if representative is None or size in (None, 1):
        return representative

    def read() -> Iterator[dict[str, np.ndarray]]:
        for record in representative():
            yield {name: np.repeat(np.asarray(values), size, axis=0) for name, values in record.items()}

    return read


@dataclass(frozen=True)
class _Kept:
    """The conversion of a float file into a float file."""

    content: bytes

    def convert(self, kept: Collection[str] = ()) -> bytes:
        return self.content


def _require_rewritable(model: TFLiteSource, config: QuantizationConfig) -> None:
    if config.scheme == "float32":
        return
    if config.backend != "litert-quantizer":
        raise ConfigError(
            f"the .tflite file {model.name!r} as a source with backend={config.backend!r}",
            "backend='litert-quantizer', which rewrites such files",
            "give that backend (--backend litert-quantizer), or the model that the file was made from",
        )
    stored = sorted({tensor.dtype for tensor in weight_tensors(model.original)} - {"float32"})
    if stored:
        raise ModelError(
            f"the .tflite file {model.name!r}, whose weights are {', '.join(stored)} already",
            "a float file",
            "give the file that it was quantized from",
        )


def convert_quantization_aware(
    model: QatModel, representative: Representative | None = None, config: QuantizationConfig | None = None
) -> bytes:
    """Converts a model that was trained to be quantized into the bytes of an int8 `.tflite` file.

    Args:
      model: From `train_quantization_aware`.
      representative: As for `quantize`. With it the layers that the training left in float become int8 too, and so do
        input and output; without it those layers compute in float.
      config: Types of inputs and outputs, and the batch; int8 with an open batch when left out.

    Raises:
      ModelError: The model can't be converted; the message names the operation that TFLite lacks.

    Example:
      >>> import tensorflow as tf, tf_keras
      >>> from slimline.core.optimization.qat import QatConfig, train_quantization_aware
      >>> model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(4,))])
      >>> model.compile("adam", "mse")
      >>> data = tf.data.Dataset.from_tensor_slices((tf.random.normal((64, 4)), tf.zeros((64, 1)))).batch(32)
      >>> trained = train_quantization_aware(model, data, 64, QatConfig(epochs=1))
      >>> convert_quantization_aware(trained)[4:8]
      b'TFL3'
    """
    _require_records(representative, model.input_names)
    config = config or QuantizationConfig(scheme="int8", training="qat")
    source = Source(model.model, tuple(model.output_names), config, representative)

    if representative is None and model.left and {config.input_type, config.output_type} - {None, "float32"}:
        raise ConfigError(
            f"input_type={config.input_type!r} and output_type={config.output_type!r} for a model that is left "
            f"partly in float: {', '.join(model.left)}",
            "float32 ends, or integers throughout",
            "give calibration records too, or leave input_type and output_type out",
        )
    recipe = Recipe(calibrates=representative is not None, has_integer_ends=not model.left)
    content = ConverterConversion(source, recipe).convert()
    if representative is not None or not model.left:
        require_integers(content, model.model.name)
    return content


def check_calibration(config: QuantizationConfig, has_calibration: bool) -> None:
    """Checks that calibration records are there when the scheme needs them. Others only try the file on them.

    Raises:
      ConfigError: They are missing.
    """
    if config.scheme in CALIBRATED_SCHEMES and config.training is None and not has_calibration:
        raise ConfigError(
            f"scheme={config.scheme!r} without calibration records",
            "records to measure the range of every activation on",
            "wire a CalibrationSampler's output to `calibration`, give --calibration on the command line, or choose "
            "dynamic_range, which needs none",
        )


def require_integers(content: bytes, name: str) -> None:
    """Refuses an int8 file with float operations in it: the converter leaves them where it has no integer kernel.

    Raises:
      ModelError: There are some; the message names them.
    """
    floating = [op for op in float_operations(content) if op not in ("QUANTIZE", "DEQUANTIZE")]
    if floating:
        raise ModelError(
            f"model {name!r}, of which int8 leaves {', '.join(floating)} in float",
            "operations that TFLite has in 8-bit integers",
            "replace the layer that needs the operation, or choose dynamic_range",
        )


def _require_records(representative: Representative | None, input_names: Sequence[str]) -> None:
    """Refuses calibration without a record, which leaves the model in float and says nothing, or with other inputs.

    NaN and infinity are refused as well: one infinite value ends the converter's process with a segmentation fault.
    """
    if representative is None:
        return
    record = next(iter(representative()), None)
    if record is None:
        raise ConfigError("no calibration record", "at least one, and better a few hundred", "sample more records")
    if set(record) != set(input_names):
        raise ConfigError(
            f"calibration records with {', '.join(sorted(record))}",
            f"the model's inputs {', '.join(sorted(input_names))}",
            "name the arrays after the inputs",
        )
    for number, record in enumerate(representative(), start=1):
        for name, values in record.items():
            array = np.asarray(values)
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                raise ExamplesError(
                    f"NaN or infinity in {name!r} of calibration record {number}",
                    "finite numbers in every record",
                    "clean the records, or fill what is missing before they are sampled",
                )
