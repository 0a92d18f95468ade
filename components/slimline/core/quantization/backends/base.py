"""What a backend is given, and what it gives."""

import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from slimline.core.models.loading import TrainedModel
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.schemes import BackendName

Representative: TypeAlias = Callable[[], Iterable[Mapping[str, np.ndarray]]]

# A new backend is a module with a function `open_conversion(source)`, and a line here.
_MODULES: dict[BackendName, str] = {
    "converter": "slimline.core.quantization.backends.converter",
    "litert-quantizer": "slimline.core.quantization.backends.litert",
}


@dataclass(frozen=True)
class Source:
    """A model that is to be converted.

    Attributes:
      model: Of any kind that `load_model` returns; half precision is rebuilt already.
      output_names: Names for its outputs, in their order.
      config: The scheme and its options, decided.
      representative: Gives the calibration records, each a dictionary from input name to an array of shape (1, …) and
        the input's dtype; None for schemes without calibration.
    """

    model: TrainedModel
    output_names: tuple[str, ...]
    config: QuantizationConfig
    representative: Representative | None


class Conversion(Protocol):
    """A model on its way into a file: what is costly is done once, however often it is converted."""

    def convert(self, kept: Collection[str] = ()) -> bytes:
        """Returns the bytes of a `.tflite` file.

        Args:
          kept: Operations that stay in the precision of `config.selective.keep`, by the name of their output in the
            float file.

        Raises:
          ModelError: The model can't be converted; the message names the operation.
        """


def open_conversion(source: Source) -> Conversion:
    """Starts a conversion with the backend that the configuration names.

    Raises:
      ConfigError: The backend is not installed.
    """
    conversion: Conversion = importlib.import_module(_MODULES[source.config.backend]).open_conversion(source)
    return conversion
