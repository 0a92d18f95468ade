"""Quantizer: turns a Keras model into a `.tflite` file of a chosen scheme."""

from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from slimline import shell
from slimline.artifacts import CalibrationDataset
from slimline.core.examples import ExamplesConfig
from slimline.core.quantization import QuantizationConfig, check_calibration
from slimline.errors import ConfigError
from slimline.quantizer.executor import QuantizerExecutor

VERSION = "1"


class QuantizerSpec(ComponentSpec):
    """Inputs, output and parameters of `Quantizer`."""

    PARAMETERS = shell.parameters(shell.CONFIG, shell.DATA)
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "schema": ChannelParameter(type=standard_artifacts.Schema, optional=True),
        "calibration": ChannelParameter(type=CalibrationDataset, optional=True),
    }
    OUTPUTS = {"quantized_model": ChannelParameter(type=standard_artifacts.Model)}


class Quantizer(BaseComponent):
    """Converts and quantizes a Keras model after its training. Use one node per scheme, side by side."""

    SPEC_CLASS = QuantizerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(QuantizerExecutor)

    def __init__(
        self,
        model: BaseChannel,
        config: QuantizationConfig,
        calibration: BaseChannel | None = None,
        schema: BaseChannel | None = None,
        data: ExamplesConfig | None = None,
    ) -> None:
        """Wires the component.

        Args:
          model: `Model` with a functional or Sequential Keras model.
          config: The scheme.
          calibration: `CalibrationDataset` for the schemes `int8` and `int16x8`, from a CalibrationSampler.
          schema: `Schema` of the calibration records.
          data: Features of the calibration records. Given together with `calibration` and `schema`, or not at all.

        Raises:
          ConfigError: Calibration is missing for a scheme that needs it, or given for one that has no use for it.
        """
        parameter = shell.to_parameter(config, QuantizationConfig)
        check_calibration(config, calibration is not None)
        given = {"calibration": calibration, "schema": schema, "data": data}
        missing = [name for name, value in given.items() if value is None]
        if 0 < len(missing) < len(given):
            raise ConfigError(
                f"a Quantizer with {' and '.join(sorted(set(given) - set(missing)))}, without {' and '.join(missing)}",
                "calibration, schema and data together, or none of them",
                f"give {' and '.join(missing)} too",
            )
        super().__init__(
            QuantizerSpec(
                model=model,
                schema=schema,
                calibration=calibration,
                config=parameter,
                data="" if data is None else shell.to_parameter(data, ExamplesConfig),
                component_version=VERSION,
                quantized_model=Channel(type=standard_artifacts.Model),
            )
        )
