"""Post-training quantization with TensorFlow's converter.

The schemes are those of https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_quantization.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.lite.python.convert_phase import ConverterError

from slimline.core.config import Config
from slimline.core.model_io import export_for_conversion, require_layers
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
    """

    scheme: Scheme


def quantize(model: tf_keras.Model, config: QuantizationConfig, representative: Representative | None = None) -> bytes:
    """Converts a Keras model into the bytes of a `.tflite` file.

    Its one signature has the model's input and output names.

    Args:
      model: Functional or Sequential; it is not changed.
      config: The scheme.
      representative: Gives the calibration records, each a dictionary from input name to an array of shape (1, …) and
        the input's dtype. Needed for `CALIBRATED_SCHEMES`, and for them only.

    Raises:
      ConfigError: Calibration records are missing, or given for a scheme that has no use for them.
      ModelError: The model can't be converted; the message names the operation that TFLite lacks.
    """
    check_calibration(config, representative is not None)
    require_layers(model, model.name)
    with tempfile.TemporaryDirectory() as folder:
        signature = export_for_conversion(model, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
        _configure(converter, config.scheme, representative)
        try:
            return bytes(converter.convert())
        except (ConverterError, tf.errors.OpError) as error:
            raise _not_convertible(model, config, error) from error


def check_calibration(config: QuantizationConfig, has_calibration: bool) -> None:
    """Checks that calibration records are there exactly when the scheme uses them.

    Raises:
      ConfigError: They are missing, or would be ignored.
    """
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


def _not_convertible(model: tf_keras.Model, config: QuantizationConfig, error: Exception) -> ModelError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ModelError(
        f"model {model.name!r} can't be converted with scheme {config.scheme!r}: {' '.join(lines[:4])}",
        "a model whose operations TFLite has in that scheme",
        "replace the layer that needs the operation, or choose another scheme",
    )
