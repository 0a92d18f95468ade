"""Pruner: makes a share of the weights zero, so that the model compresses better."""

from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.pruner.executor import PrunerExecutor
from slimline.shells import shell

VERSION = "3"


class PrunerSpec(ComponentSpec):
    """Inputs, output and parameters of `Pruner`."""

    PARAMETERS = shell.parameters(shell.CONFIG, shell.DATA)
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {
        "pruned_model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Pruner(BaseComponent):
    """Prunes a Keras model while fine-tuning it; the output is an ordinary Keras model."""

    SPEC_CLASS = PrunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PrunerExecutor)

    def __init__(
        self,
        model: BaseChannel,
        examples: BaseChannel,
        schema: BaseChannel,
        config: PruningConfig,
        data: ExamplesConfig,
    ) -> None:
        """Wires the component.

        Args:
          model: `Model` with a functional or Sequential Keras model, from a Trainer or another Slimline component.
          examples: `Examples` to fine-tune on.
          schema: `Schema` of the examples.
          config: How far to prune, and how to fine-tune.
          data: Label and features of the examples.

        Raises:
          ConfigError: A configuration is of the wrong kind.
        """
        super().__init__(
            PrunerSpec(
                model=model,
                examples=examples,
                schema=schema,
                config=shell.to_parameter(config, PruningConfig),
                data=shell.to_parameter(data, ExamplesConfig),
                component_version=VERSION,
                pruned_model=Channel(type=standard_artifacts.Model),
                model_run=Channel(type=standard_artifacts.ModelRun),
            )
        )
