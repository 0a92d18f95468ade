"""Quantizer: turns a Keras model into a `.tflite` file of a chosen scheme."""

from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from slimline.artifacts import CalibrationDataset
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.quantization.configuration import QuantizationConfig, resolve_scheme
from slimline.core.quantization.conversion import check_calibration
from slimline.errors import ConfigError
from slimline.quantizer.executor import QuantizerExecutor
from slimline.shells import shell

VERSION = "5"


class QuantizerSpec(ComponentSpec):
    """Inputs, output and parameters of `Quantizer`."""

    PARAMETERS = shell.parameters(shell.CONFIG, shell.DATA)
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "schema": ChannelParameter(type=standard_artifacts.Schema, optional=True),
        "calibration": ChannelParameter(type=CalibrationDataset, optional=True),
        "examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS = {
        "quantized_model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Quantizer(BaseComponent):
    """Quantizes a model after its training, or trains it to be quantized. Use one node per scheme, side by side."""

    SPEC_CLASS = QuantizerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(QuantizerExecutor)

    def __init__(
        self,
        model: BaseChannel,
        config: QuantizationConfig,
        calibration: BaseChannel | None = None,
        schema: BaseChannel | None = None,
        data: ExamplesConfig | None = None,
        examples: BaseChannel | None = None,
    ) -> None:
        """Wires the component.

        Args:
          model: `Model`; for quantization-aware training a functional or Sequential Keras model.
          config: The scheme, and whether to train.
          calibration: `CalibrationDataset` from a CalibrationSampler, which the schemes `int8` and `int16x8` need. With
            it the files of all schemes are tried on real records, and with training, layers that can't be trained to be
            quantized become int8 too.
          schema: `Schema` of the calibration records and the examples.
          data: Features of the calibration records, label and features of the examples.
          examples: `Examples` to train on, for `training='qat'`.

        Raises:
          ConfigError: An input is missing for the scheme or the training, or given where it is of no use.
        """
        parameter = shell.to_parameter(config, QuantizationConfig)
        decided, _ = resolve_scheme(config, has_calibration=calibration is not None, has_examples=examples is not None)
        check_calibration(decided, calibration is not None)
        given = {"calibration": calibration, "examples": examples, "schema": schema, "data": data}
        _check_inputs(decided, given, may_train=config.scheme == "auto")
        super().__init__(
            QuantizerSpec(
                model=model,
                schema=schema,
                calibration=calibration,
                examples=examples,
                config=parameter,
                data="" if data is None else shell.to_parameter(data, ExamplesConfig),
                component_version=VERSION,
                quantized_model=Channel(type=standard_artifacts.Model),
                model_run=Channel(type=standard_artifacts.ModelRun),
            )
        )


def _check_inputs(config: QuantizationConfig, given: Mapping[str, Any], *, may_train: bool) -> None:
    """Checks that examples are there when they are trained on, and schema and data whenever records are read."""
    present = {name for name, value in given.items() if value is not None}
    wanted = {"examples"} if config.training == "qat" else set()
    wanted |= present & ({"calibration", "examples"} if may_train else {"calibration"})
    wanted |= {"schema", "data"} if wanted else set()
    missing, needless = sorted(wanted - present), sorted(present - wanted)
    if missing or needless:
        raise ConfigError(
            f"a Quantizer with {' and '.join(sorted(present)) or 'no data'}",
            " and ".join(sorted(wanted)) or f"none of {', '.join(given)}",
            (f"give {' and '.join(missing)} too" if missing else f"leave {' and '.join(needless)} out"),
        )
