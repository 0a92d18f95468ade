"""CalibrationSampler: draws the records on which the Quantizer measures activation ranges."""

from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from slimline import shell
from slimline.artifacts import CalibrationDataset
from slimline.calibration_sampler.executor import CalibrationSamplerExecutor
from slimline.core.sampling import SamplingConfig

VERSION = "1"


class CalibrationSamplerSpec(ComponentSpec):
    """Inputs, output and parameters of `CalibrationSampler`."""

    PARAMETERS = shell.parameters(shell.CONFIG)
    INPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {"calibration": ChannelParameter(type=CalibrationDataset)}


class CalibrationSampler(BaseBeamComponent):
    """Samples distinct records with Beam: the same records for the same data and seed, on any runner."""

    SPEC_CLASS = CalibrationSamplerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(CalibrationSamplerExecutor)

    def __init__(self, examples: BaseChannel, config: SamplingConfig | None = None) -> None:
        """Wires the component.

        Args:
          examples: `Examples`, as raw or transformed as the model's inputs are.
          config: How many records, and from which split.

        Raises:
          ConfigError: The configuration is of the wrong kind.
        """
        super().__init__(
            CalibrationSamplerSpec(
                examples=examples,
                config=shell.to_parameter(config or SamplingConfig(), SamplingConfig),
                component_version=VERSION,
                calibration=Channel(type=CalibrationDataset),
            )
        )
