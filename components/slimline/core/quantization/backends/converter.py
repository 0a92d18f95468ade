"""TensorFlow's own converter, which also quantizes."""

import logging
import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import tensorflow as tf

from slimline.core.internals.converter import ConverterError, mlir_quantize
from slimline.core.isolation import IsolatedError
from slimline.core.models.saving import export_for_conversion
from slimline.core.models.splitting import preprocessing_layers
from slimline.core.models.unrolling import recurrent_layers, unroll
from slimline.core.quantization.backends.base import Source
from slimline.core.quantization.backends.calibrated import ConversionFailedError, convert_calibrated
from slimline.core.quantization.backends.settings import DTYPES, configure, set_ends
from slimline.core.schemes import CALIBRATED_SCHEMES
from slimline.core.tflite.flatbuffer import float_operations
from slimline.errors import ModelError

_logger = logging.getLogger(__name__)


def open_conversion(source: Source) -> "ConverterConversion":
    """Starts a conversion."""
    return ConverterConversion(source)


@dataclass(frozen=True)
class Recipe:
    """How the converter is set, beside what the scheme says.

    Attributes:
      calibrates: Whether it runs the model on the records.
      has_integer_ends: Whether inputs and outputs get the configuration's types without calibration.
    """

    calibrates: bool
    has_integer_ends: bool = False


class ConverterConversion:
    """A conversion with `tf.lite.TFLiteConverter`.

    Args:
      source: The model and what to make of it.
      recipe: How the converter is set; by the scheme when left out.
    """

    def __init__(self, source: Source, recipe: Recipe | None = None) -> None:
        self._source = source
        self._recipe = recipe or Recipe(calibrates=source.config.scheme in CALIBRATED_SCHEMES)

    def convert(self, kept: Collection[str] = ()) -> bytes:
        """Converts anew; with operations to keep in float, from the one calibration that is made for all."""
        if not kept:
            return self._run()
        try:
            # What the converter itself calls after its calibration, and `QuantizationDebugger` to keep operations.
            return bytes(
                mlir_quantize(
                    self._calibrated,
                    input_data_type=DTYPES[self._source.config.input_dtype],
                    output_data_type=DTYPES[self._source.config.output_dtype],
                    denylisted_nodes=sorted(kept),
                )
            )
        except (ConverterError, RuntimeError) as error:
            raise _not_convertible(self._source, error) from error

    @cached_property
    def _calibrated(self) -> bytes:
        return self._run(only_calibrate=True)

    def _run(self, *, only_calibrate: bool = False) -> bytes:
        try:
            content = self._run_on(self._source, only_calibrate=only_calibrate)
            if only_calibrate or not self._leaves_floats(content):
                return content
            broken: IsolatedError | None = None
        except IsolatedError as error:
            broken = error
        unrolled = unroll(self._source.model)
        if unrolled is None:
            if broken is not None:
                raise _broke(self._source, broken) from broken
            return content
        # Kept, so that all conversions of a search are of the same model.
        self._source = replace(self._source, model=unrolled)
        _logger.warning(
            "%s: TensorFlow's converter breaks at its recurrent layers; they are unrolled, with equal outputs",
            self._source.model.name,
        )
        try:
            return self._run_on(self._source, only_calibrate=only_calibrate)
        except IsolatedError as error:
            raise _broke(self._source, error) from error

    def _leaves_floats(self, content: bytes) -> bool:
        """Returns whether parts of a loop are left in float: so it ends where the converter does not break at it."""
        is_int8 = self._source.config.scheme == "int8" and self._recipe.calibrates
        return is_int8 and bool(recurrent_layers(self._source.model)) and bool(float_operations(content))

    def _run_on(self, source: Source, *, only_calibrate: bool) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            signature = export_for_conversion(
                source.model, source.output_names, Path(folder), static_batch=source.config.static_batch
            )
            try:
                if self._recipe.calibrates:
                    assert source.representative is not None
                    return convert_calibrated(
                        Path(folder), signature, source.config, source.representative, only_calibrate=only_calibrate
                    )
                return self._convert_here(folder, signature)
            # The part that calibrates raises plain RuntimeErrors.
            except (ConversionFailedError, ConverterError, tf.errors.OpError, RuntimeError) as error:
                raise _not_convertible(source, error) from error

    def _convert_here(self, folder: str, signature: str) -> bytes:
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
        config = self._source.config
        if config.scheme in CALIBRATED_SCHEMES:
            # Trained to be quantized: the ranges are in the model.
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if self._recipe.has_integer_ends:
                set_ends(converter, config)
        else:
            configure(converter, config)
        if config.allow_select_ops:
            supported = converter.target_spec.supported_ops
            converter.target_spec.supported_ops = [*supported, tf.lite.OpsSet.SELECT_TF_OPS]
        return bytes(converter.convert())


def _broke(source: Source, error: IsolatedError) -> ModelError:
    recurrent = recurrent_layers(source.model)
    where = f"; it breaks at recurrent layers, of which there are {', '.join(recurrent)}" if recurrent else ""
    return ModelError(
        f"model {source.model.name!r}, at which TensorFlow's converter {error.text} while it calibrated for "
        f"{source.config.scheme!r}{where}",
        "a model that it can calibrate",
        "build recurrent layers with unroll=True and a fixed length, or choose float16 or dynamic_range, which need no "
        "calibration, or backend='litert-quantizer'",
    )


def _not_convertible(source: Source, error: Exception) -> ModelError:
    text = str(error)
    # As TensorFlow 2.21 words it; older versions called them Flex ops.
    listed = re.findall(r"^\s*(?:TF Select|Flex) ops: (.+)$", text, re.MULTILINE)
    single = re.findall(r"'tf\.(\w+)' op is neither a custom op nor", text)
    operations = sorted({name for names in [*listed, *single] for name in re.split(r",\s*", names.strip())})
    if any(name.startswith("StatelessRandom") for name in operations):
        return ModelError(
            f"model {source.model.name!r}, whose exported function draws random numbers "
            f"({', '.join(operations)}): its augmentation layers are on",
            "a function that infers",
            "give the file that `model.save('model.keras')` writes, of which augmentation is left out; or export the "
            "model without those layers",
        )
    if "Lowering tensor list ops is failed" in text:
        return ModelError(
            f"model {source.model.name!r}, an exported function with a recurrent layer and an open batch",
            "a fixed batch, without which TFLite has no such layers",
            "give the file that `model.save('model.keras')` writes, whose layers are known; or export the function for "
            "a batch of 1",
        )
    encoding = preprocessing_layers(source.model)
    if operations and encoding:
        return ModelError(
            f"model {source.model.name!r} with the operation {', '.join(operations)}, which TFLite does not have; they "
            f"come from what prepares its inputs: {', '.join(encoding)}",
            "TFLite's own operations, among which is a StringLookup without encoding",
            "split the model, prepare inputs in the app and quantize the rest: "
            "`split_preprocessing(model)` of slimline.core.models gives both parts",
        )
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
