"""Clusterer: leaves each kernel a few distinct values, so that the model compresses better."""

from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from slimline.clusterer.executor import ClustererExecutor
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.shells import shell

VERSION = "3"


class ClustererSpec(ComponentSpec):
    """Inputs, output and parameters of `Clusterer`."""

    PARAMETERS = shell.parameters(shell.CONFIG, shell.DATA)
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {
        "clustered_model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Clusterer(BaseComponent):
    """Clusters a Keras model's weights while fine-tuning it; the output is an ordinary Keras model."""

    SPEC_CLASS = ClustererSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ClustererExecutor)

    def __init__(
        self,
        model: BaseChannel,
        examples: BaseChannel,
        schema: BaseChannel,
        config: ClusteringConfig,
        data: ExamplesConfig,
    ) -> None:
        """Wires the component.

        Args:
          model: `Model` with a functional or Sequential Keras model, from a Trainer or another Slimline component.
          examples: `Examples` to fine-tune on.
          schema: `Schema` of the examples.
          config: How many clusters, and how to fine-tune.
          data: Label and features of the examples.

        Raises:
          ConfigError: A configuration is of the wrong kind.
        """
        super().__init__(
            ClustererSpec(
                model=model,
                examples=examples,
                schema=schema,
                config=shell.to_parameter(config, ClusteringConfig),
                data=shell.to_parameter(data, ExamplesConfig),
                component_version=VERSION,
                clustered_model=Channel(type=standard_artifacts.Model),
                model_run=Channel(type=standard_artifacts.ModelRun),
            )
        )
