"""`litert-quantizer`, Google's successor of the converter's quantization: it rewrites a float `.tflite` file."""

import re
from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np

from slimline.core.quantization.backends.base import Source
from slimline.core.quantization.backends.converter import ConverterConversion
from slimline.core.schemes import CALIBRATED_SCHEMES
from slimline.core.tflite.source import TFLiteSource
from slimline.errors import ConfigError, ModelError

try:
    from litert_quantizer import qtyping, quantizer, recipe
    from litert_quantizer.recipe_manager import AlgorithmName
except ImportError as missing:
    raise ConfigError(
        "backend='litert-quantizer', which is not installed",
        "the package litert-quantizer",
        "install slimline[litert-quantizer], or choose backend='converter'",
    ) from missing

# One thread: sums of floats then come out the same every time.
_NUM_THREADS = 1


def open_conversion(source: Source) -> "LitertConversion":
    """Starts a conversion."""
    return LitertConversion(source)


class LitertConversion:
    """A conversion with `litert_quantizer.Quantizer`.

    Args:
      source: The model and what to make of it.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @cached_property
    def _float_content(self) -> bytes:
        if isinstance(self._source.model, TFLiteSource):
            return self._source.model.content
        plain = self._source.config.model_copy(
            update={"scheme": "float32", "input_type": None, "output_type": None, "selective": None}
        )
        return ConverterConversion(
            Source(self._source.model, self._source.output_names, plain, representative=None)
        ).convert()

    def convert(self, kept: Collection[str] = ()) -> bytes:
        """Quantizes the float file; calibration is made once for all calls."""
        if self._source.config.scheme == "float32":
            return self._float_content
        program = self._program(kept)
        try:
            result = program.quantize(self._calibration, enable_progress_bar=False, enable_progress_report=False)
        except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
            raise ModelError(
                f"model {self._source.model.name!r}, which litert-quantizer can't quantize with scheme "
                f"{self._source.config.scheme!r}: {error}",
                "a model whose operations it knows",
                "choose backend='converter', or another scheme",
            ) from error
        return bytes(result.quantized_model)

    @cached_property
    def _calibration(self) -> Any:
        if self._source.config.scheme not in CALIBRATED_SCHEMES:
            return None
        assert self._source.representative is not None
        records = [
            {name: np.asarray(values) for name, values in record.items()} for record in self._source.representative()
        ]
        program = self._program(())
        (signature,) = program_signatures(self._float_content)
        return program.calibrate({signature: records}, num_threads=_NUM_THREADS)

    def _program(self, kept: Collection[str]) -> Any:
        program = quantizer.Quantizer(bytearray(self._float_content))
        config = self._source.config
        if config.scheme == "float16":
            program.update_quantization_recipe(".*", "*", _float16(), AlgorithmName.FLOAT_CASTING)
            return program
        recipes = {
            "dynamic_range": recipe.dynamic_wi8_afp32,
            "int8": recipe.static_wi8_ai8,
            "int16x8": recipe.static_wi8_ai16,
        }
        assert config.scheme in recipes
        program.load_quantization_recipe(recipes[config.scheme]())
        for end, dtype in (("INPUT", config.input_dtype), ("OUTPUT", config.output_dtype)):
            if dtype == "float32" and config.scheme in CALIBRATED_SCHEMES:
                program.update_quantization_recipe(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
        for name in sorted(kept):
            self._keep(program, f"^{re.escape(name)};")
        return program

    def _keep(self, program: Any, pattern: str) -> None:
        assert self._source.config.selective is not None
        if self._source.config.selective.keep == "int16":
            program.add_static_config(pattern, "*", 16, 8)
        else:
            program.update_quantization_recipe(pattern, "*", algorithm_key=AlgorithmName.NO_QUANTIZE)


def program_signatures(content: bytes) -> list[str]:
    """Returns the names of a file's signatures."""
    from ai_edge_litert.interpreter import Interpreter

    return list(Interpreter(model_content=content).get_signature_list())


def _float16() -> Any:
    return qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
