"""The stages of TensorFlow's converter, seen in TensorFlow 2.21."""

import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.convert_phase import ConverterError

__all__ = ["ConverterError", "calibrate_only", "mlir_quantize"]


def calibrate_only(converter: tf.lite.TFLiteConverter) -> None:
    """Has a converter measure ranges, and leave the quantization to `mlir_quantize`."""
    converter._experimental_calibrate_only = True
