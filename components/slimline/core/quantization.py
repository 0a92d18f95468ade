"""Conversion to `.tflite`, with quantization, by TensorFlow's converter.

The schemes are those of https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_quantization.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import tensorflow as tf
import tf_keras
from pydantic import model_validator
from tensorflow.lite.python.convert_phase import ConverterError

from slimline.core.config import Config
from slimline.core.flatbuffer import float_operations
from slimline.core.intake import TrainedModel
from slimline.core.model_io import export_for_conversion
from slimline.core.qat import QatConfig, QatModel
from slimline.core.rebuild import is_half_precision, rebuild
from slimline.errors import ConfigError, ModelError

Scheme = Literal["float32", "float16", "dynamic_range", "int8", "int16x8"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
# Schemes that fix the range of every activation, and so need records to measure it on.
CALIBRATED_SCHEMES: tuple[Scheme, ...] = ("int8", "int16x8")

Representative: TypeAlias = Callable[[], Iterable[Mapping[str, np.ndarray]]]


class QuantizationConfig(Config):
    """Into what to convert a model.

    Attributes:
      scheme: `float32` converts only; `float16` halves the weights; `dynamic_range` keeps weights in 8 bits and
        computes activations' ranges on the device; `int8` does everything in 8-bit integers, input and output
        included; `int16x8` has 16-bit activations and 8-bit weights, with float input and output.
      training: `qat` trains the model with int8's rounding errors before it is converted, on labelled Examples; without
        it the model is quantized as it is.
      qat: How to train; defaults when left out.
      custom_objects: Dotted path of a module with layers and functions of the user's own.
      on_lost_gain: What to do when zeros or clusters of the model are lost in the file: say so, or fail.
    """

    scheme: Scheme
    training: Literal["qat"] | None = None
    qat: QatConfig | None = None
    custom_objects: str | None = None
    on_lost_gain: Literal["warn", "error"] = "warn"

    @model_validator(mode="after")
    def _check(self) -> "QuantizationConfig":
        if self.training == "qat" and self.scheme != "int8":
            raise ValueError(f"scheme='int8' with training='qat', not {self.scheme!r}: TFMOT trains for int8 alone")
        if self.training is None and self.qat is not None:
            raise ValueError("training='qat' with qat=QatConfig(...), which is without effect otherwise")
        return self


def quantize(model: TrainedModel, config: QuantizationConfig, representative: Representative | None = None) -> bytes:
    """Converts a model after its training into the bytes of a `.tflite` file.

    Its one signature has the model's input and output names.

    Args:
      model: Of any kind that `load_model` returns; it is not changed.
      config: The scheme.
      representative: Gives the calibration records, each a dictionary from input name to an array of shape (1, …) and
        the input's dtype. Needed for `CALIBRATED_SCHEMES`, and for them only.

    Raises:
      ConfigError: Calibration records are missing, or given for a scheme that has no use for them.
      ModelError: The model can't be converted; the message names the operation that TFLite lacks.

    Example:
      >>> import tf_keras
      >>> model = tf_keras.Sequential([tf_keras.layers.Input((4,), name="x"), tf_keras.layers.Dense(1)])
      >>> records = lambda: ({"x": np.ones((1, 4), np.float32) * i} for i in range(10))
      >>> content = quantize(model, QuantizationConfig(scheme="int8"), records)
      >>> content[4:8]
      b'TFL3'
    """
    check_calibration(config, representative is not None)
    _require_records(representative, model.input_names)
    if isinstance(model, tf_keras.Model) and is_half_precision(model):
        model = rebuild(model)

    def configure(converter: tf.lite.TFLiteConverter) -> None:
        _configure(converter, config.scheme, representative)

    content = _convert(model, tuple(model.output_names), config.scheme, configure)
    if config.scheme == "int8":
        _require_integers(content, model.name)
    return content


def convert_quantization_aware(model: QatModel, representative: Representative | None = None) -> bytes:
    """Converts a model that was trained to be quantized into the bytes of an int8 `.tflite` file.

    Args:
      model: From `train_quantization_aware`.
      representative: As for `quantize`. With it the layers that the training left in float become int8 too, and so do
        input and output; without it those layers compute in float.

    Raises:
      ModelError: The model can't be converted; the message names the operation that TFLite lacks.

    Example:
      >>> import tf_keras
      >>> from slimline.core.qat import train_quantization_aware
      >>> model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(4,))])
      >>> model.compile("adam", "mse")
      >>> data = tf.data.Dataset.from_tensor_slices((tf.random.normal((64, 4)), tf.zeros((64, 1)))).batch(32)
      >>> trained = train_quantization_aware(model, data, 64, QatConfig(epochs=1))
      >>> convert_quantization_aware(trained)[4:8]
      b'TFL3'
    """

    def configure(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if representative is not None:
            _configure(converter, "int8", representative)
        elif not model.left:
            converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8

    _require_records(representative, model.input_names)
    content = _convert(model.model, model.output_names, "int8", configure)
    if representative is not None or not model.left:
        _require_integers(content, model.model.name)
    return content


def _convert(
    model: TrainedModel,
    output_names: Sequence[str],
    scheme: Scheme,
    configure: Callable[[tf.lite.TFLiteConverter], None],
) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        signature = export_for_conversion(model, output_names, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
        configure(converter)
        try:
            return bytes(converter.convert())
        # The part that calibrates raises plain RuntimeErrors.
        except (ConverterError, tf.errors.OpError, RuntimeError) as error:
            raise _not_convertible(model, scheme, error) from error


def check_calibration(config: QuantizationConfig, has_calibration: bool) -> None:
    """Checks that calibration records are there exactly when the scheme uses them; with QAT they are a choice.

    Raises:
      ConfigError: They are missing, or would be ignored.
    """
    if config.training == "qat":
        return
    if config.scheme in CALIBRATED_SCHEMES and not has_calibration:
        raise ConfigError(
            f"scheme={config.scheme!r} without calibration records",
            "records to measure the range of every activation on",
            "wire a CalibrationSampler's output to `calibration`, or choose dynamic_range, which needs none",
        )
    if config.scheme not in CALIBRATED_SCHEMES and has_calibration:
        raise ConfigError(
            f"scheme={config.scheme!r} with calibration records",
            f"none: only {' and '.join(CALIBRATED_SCHEMES)} are calibrated",
            "leave `calibration` out",
        )


def _configure(converter: tf.lite.TFLiteConverter, scheme: Scheme, representative: Representative | None) -> None:
    if scheme == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif scheme == "int8":
        converter.representative_dataset = representative
        # No float operation may be left, or the file would not run on integer-only hardware.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    elif scheme == "int16x8":
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]


def _require_records(representative: Representative | None, input_names: Sequence[str]) -> None:
    """Refuses calibration without a record, which leaves the model in float and says nothing, or with other inputs."""
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


def _require_integers(content: bytes, name: str) -> None:
    """Refuses an int8 file with float operations in it: the converter leaves them where it has no integer kernel."""
    floating = [op for op in float_operations(content) if op not in ("QUANTIZE", "DEQUANTIZE")]
    if floating:
        raise ModelError(
            f"model {name!r}, of which int8 leaves {', '.join(floating)} in float",
            "operations that TFLite has in 8-bit integers",
            "replace the layer that needs the operation, or choose dynamic_range",
        )


def _not_convertible(model: TrainedModel, scheme: Scheme, error: Exception) -> ModelError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ModelError(
        f"model {model.name!r} can't be converted with scheme {scheme!r}: {' '.join(lines[:4])}",
        "a model whose operations TFLite has in that scheme",
        "replace the layer that needs the operation, or choose another scheme",
    )
