"""CalibrationSampler: draws the records on which the Quantizer measures activation ranges."""

from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from slimline.artifacts import CalibrationDataset
from slimline.calibration_sampler.executor import CalibrationSamplerExecutor
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.sampling.rank import SamplingConfig
from slimline.errors import ConfigError
from slimline.shells import shell

VERSION = "2"


class CalibrationSamplerSpec(ComponentSpec):
    """Inputs, output and parameters of `CalibrationSampler`."""

    PARAMETERS = shell.parameters(shell.CONFIG, shell.DATA)
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "schema": ChannelParameter(type=standard_artifacts.Schema, optional=True),
    }
    OUTPUTS = {"calibration": ChannelParameter(type=CalibrationDataset)}


class CalibrationSampler(BaseBeamComponent):
    """Samples distinct records with Beam: the same records for the same data and seed, on any runner."""

    SPEC_CLASS = CalibrationSamplerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(CalibrationSamplerExecutor)

    def __init__(
        self,
        examples: BaseChannel,
        config: SamplingConfig | None = None,
        model: BaseChannel | None = None,
        schema: BaseChannel | None = None,
        data: ExamplesConfig | None = None,
    ) -> None:
        """Wires the component.

        Args:
          examples: `Examples`, as raw or transformed as the model's inputs are.
          config: How many records, from which split, and what must be true of them.
          model: `Model` that the records are for. With it the checks look at its inputs rather than at all features,
            and two halves of the sample are compared in the ranges that the model's outputs take.
          schema: `Schema` of the examples, with a model.
          data: Features of the model's inputs, with a model.

        Raises:
          ConfigError: The configuration is of the wrong kind, or model, schema and data are not given together.
        """
        given = {"model": model, "schema": schema, "data": data}
        missing = [name for name, value in given.items() if value is None]
        if missing and len(missing) < len(given):
            raise ConfigError(
                f"a CalibrationSampler without {' and '.join(missing)}",
                "model, schema and data together, or none of them",
                f"give {' and '.join(missing)} too",
            )
        super().__init__(
            CalibrationSamplerSpec(
                examples=examples,
                model=model,
                schema=schema,
                config=shell.to_parameter(config or SamplingConfig(), SamplingConfig),
                data="" if data is None else shell.to_parameter(data, ExamplesConfig),
                component_version=VERSION,
                calibration=Channel(type=CalibrationDataset),
            )
        )
