"""How TensorFlow's converter is set for a scheme."""

from typing import Any

import tensorflow as tf

from slimline.core.quantization.backends.base import Representative
from slimline.core.quantization.configuration import QuantizationConfig

DTYPES = {"float32": tf.float32, "int8": tf.int8, "uint8": tf.uint8}
_INT8 = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
_INT16X8 = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]


def configure(
    converter: tf.lite.TFLiteConverter, config: QuantizationConfig, representative: Representative | None = None
) -> None:
    """Sets a converter's options for a scheme."""
    if config.scheme == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if config.scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif config.scheme == "int8":
        converter.representative_dataset = representative
        # No float operation may be left, or the file would not run on integer-only hardware.
        converter.target_spec.supported_ops = list(_INT8)
        set_ends(converter, config)
    elif config.scheme == "int16x8":
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = list(_INT16X8)


def set_ends(converter: Any, config: QuantizationConfig) -> None:
    """Sets the types of inputs and outputs."""
    converter.inference_input_type = DTYPES[config.input_dtype]
    converter.inference_output_type = DTYPES[config.output_dtype]
