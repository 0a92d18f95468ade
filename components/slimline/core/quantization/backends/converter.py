"""TensorFlow's own converter, which also quantizes."""

import re
import tempfile
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import Any

import tensorflow as tf

from slimline.core.internals.converter import ConverterError, calibrate_only, mlir_quantize
from slimline.core.models.saving import export_for_conversion
from slimline.core.quantization.backends.base import Source
from slimline.errors import ModelError

_DTYPES = {"float32": tf.float32, "int8": tf.int8, "uint8": tf.uint8}
_INT8 = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
_INT16X8 = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]


def open_conversion(source: Source) -> "ConverterConversion":
    """Starts a conversion."""
    return ConverterConversion(source)


class ConverterConversion:
    """A conversion with `tf.lite.TFLiteConverter`.

    Args:
      source: The model and what to make of it.
      prepare: Sets the converter's options; by the scheme when left out.
    """

    def __init__(self, source: Source, prepare: Callable[[tf.lite.TFLiteConverter], None] | None = None) -> None:
        self._source = source
        self._prepare = prepare or (lambda converter: configure(converter, source))

    def convert(self, kept: Collection[str] = ()) -> bytes:
        """Converts anew; with operations to keep in float, from the one calibration that is made for all."""
        if not kept:
            return self._run(self._prepare)
        try:
            # What the converter itself calls after its calibration, and `QuantizationDebugger` to keep operations.
            return bytes(
                mlir_quantize(
                    self._calibrated,
                    input_data_type=_DTYPES[self._source.config.input_dtype],
                    output_data_type=_DTYPES[self._source.config.output_dtype],
                    denylisted_nodes=sorted(kept),
                )
            )
        except (ConverterError, RuntimeError) as error:
            raise _not_convertible(self._source, error) from error

    @cached_property
    def _calibrated(self) -> bytes:
        def prepare(converter: tf.lite.TFLiteConverter) -> None:
            self._prepare(converter)
            calibrate_only(converter)

        return self._run(prepare)

    def _run(self, prepare: Callable[[tf.lite.TFLiteConverter], None]) -> bytes:
        source = self._source
        with tempfile.TemporaryDirectory() as folder:
            signature = export_for_conversion(
                source.model, source.output_names, Path(folder), static_batch=source.config.static_batch
            )
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
            prepare(converter)
            if source.config.allow_select_ops:
                supported = converter.target_spec.supported_ops
                converter.target_spec.supported_ops = [*supported, tf.lite.OpsSet.SELECT_TF_OPS]
            try:
                return bytes(converter.convert())
            # The part that calibrates raises plain RuntimeErrors.
            except (ConverterError, tf.errors.OpError, RuntimeError) as error:
                raise _not_convertible(source, error) from error


def configure(converter: tf.lite.TFLiteConverter, source: Source) -> None:
    """Sets a converter's options for a scheme."""
    config = source.config
    if config.scheme == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if config.scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif config.scheme == "int8":
        converter.representative_dataset = source.representative
        # No float operation may be left, or the file would not run on integer-only hardware.
        converter.target_spec.supported_ops = list(_INT8)
        set_ends(converter, source)
    elif config.scheme == "int16x8":
        converter.representative_dataset = source.representative
        converter.target_spec.supported_ops = list(_INT16X8)


def set_ends(converter: Any, source: Source) -> None:
    """Sets the types of inputs and outputs."""
    converter.inference_input_type = _DTYPES[source.config.input_dtype]
    converter.inference_output_type = _DTYPES[source.config.output_dtype]


def _not_convertible(source: Source, error: Exception) -> ModelError:
    text = str(error)
    # As TensorFlow 2.21 words it; older versions called them Flex ops.
    listed = re.findall(r"^\s*(?:TF Select|Flex) ops: (.+)$", text, re.MULTILINE)
    single = re.findall(r"'tf\.(\w+)' op is neither a custom op nor", text)
    operations = sorted({name for names in [*listed, *single] for name in re.split(r",\s*", names.strip())})
    if operations:
        return ModelError(
            f"model {source.model.name!r} with the operation {', '.join(operations)}, which TFLite does not have",
            "TFLite's own operations",
            "replace the layer that needs the operation, or set allow_select_ops=True: then TensorFlow's kernels carry "
            "it out, where they are linked in, and no accelerator takes the model",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ModelError(
        f"model {source.model.name!r} can't be converted with scheme {source.config.scheme!r}: {' '.join(lines[:4])}",
        "a model whose operations TFLite has in that scheme",
        "replace the layer that needs the operation, or choose another scheme",
    )
