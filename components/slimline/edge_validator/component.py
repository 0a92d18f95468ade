"""EdgeValidator: blesses one of several edge models, or none."""

import json
from collections import Counter
from collections.abc import Sequence

from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from slimline.artifacts import EdgeEvaluation
from slimline.core.evaluation.gates import GateConfig
from slimline.core.examples.configuration import ExamplesConfig
from slimline.edge_validator.executor import CANDIDATE_KEYS, CANDIDATE_NAMES, EdgeValidatorExecutor
from slimline.errors import ConfigError
from slimline.shells import shell

VERSION = "5"


class EdgeValidatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of `EdgeValidator`.

    The candidates are a fixed family of optional inputs: a union of channels does not compile for Kubeflow.
    """

    PARAMETERS = shell.parameters(shell.CONFIG, shell.DATA, CANDIDATE_NAMES)
    INPUTS = {
        "baseline": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        **{key: ChannelParameter(type=standard_artifacts.Model, optional=True) for key in CANDIDATE_KEYS},
    }
    OUTPUTS = {
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "blessed_model": ChannelParameter(type=standard_artifacts.Model),
        "evaluation": ChannelParameter(type=EdgeEvaluation),
    }


class EdgeValidator(BaseBeamComponent):
    """Compares candidates with the Trainer's model and blesses the best that stays within all limits.

    Wire `blessed_model`, `blessing` and `infra_blessing` to TFX's Pusher.
    """

    SPEC_CLASS = EdgeValidatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(EdgeValidatorExecutor)

    def __init__(
        self,
        baseline: BaseChannel,
        candidates: Sequence[BaseChannel],
        examples: BaseChannel,
        schema: BaseChannel,
        config: GateConfig,
        data: ExamplesConfig,
    ) -> None:
        """Wires the component.

        Args:
          baseline: `Model` with the Trainer's Keras model.
          candidates: 1 to 16 `Model`s from Quantizers. Each is reported under the id of its node.
          examples: `Examples` with the split to measure on.
          schema: `Schema` of the examples.
          config: Thresholds, budgets and goal.
          data: Label and features of the examples.

        Raises:
          ConfigError: There are no candidates, too many, or two of one node; or a configuration is of the wrong kind.
        """
        labels = _labels(candidates)
        super().__init__(
            EdgeValidatorSpec(
                baseline=baseline,
                examples=examples,
                schema=schema,
                config=shell.to_parameter(config, GateConfig),
                data=shell.to_parameter(data, ExamplesConfig),
                candidate_names=json.dumps(labels),
                component_version=VERSION,
                blessing=Channel(type=standard_artifacts.ModelBlessing),
                infra_blessing=Channel(type=standard_artifacts.InfraBlessing),
                blessed_model=Channel(type=standard_artifacts.Model),
                evaluation=Channel(type=EdgeEvaluation),
                **dict(zip(CANDIDATE_KEYS, candidates, strict=False)),
            )
        )


def _labels(candidates: Sequence[BaseChannel]) -> list[str]:
    if not 1 <= len(candidates) <= len(CANDIDATE_KEYS):
        raise ConfigError(
            f"{len(candidates)} candidates",
            f"1 to {len(CANDIDATE_KEYS)}",
            "give the quantized_model output of at least one Quantizer; use a second EdgeValidator for more",
        )
    labels = [
        getattr(candidate, "producer_component_id", None) or f"candidate-{number}"
        for number, candidate in enumerate(candidates, start=1)
    ]
    repeated = [label for label, count in Counter(labels).items() if count > 1]
    if repeated:
        raise ConfigError(
            f"the candidate {repeated[0]!r} twice",
            "candidates of different nodes",
            "name the Quantizers before they are wired: Quantizer(...).with_id('Quantizer-int8')",
        )
    return labels
