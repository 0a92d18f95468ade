"""The shell around everything that trains: Examples in, and what came of the weights on record.

Pruner and Clusterer differ in their configuration, and in nothing else.
"""

from collections.abc import Sequence

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact

from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.features import load_schema
from slimline.core.models.weights import max_distinct, sparsity
from slimline.core.optimization.stage_evaluation import StageEvaluation
from slimline.core.optimization.training import Watch
from slimline.core.optimization.training_config import FineTuningConfig, TechniqueConfig
from slimline.core.optimization.use_case import OptimizationRequest, optimize_model
from slimline.core.optimization.weight_history import WeightSnapshot
from slimline.names import metadata_keys
from slimline.shells import progress, shell
from slimline.shells.tfx_internals import node_id

# As ExampleGens name it when nobody says otherwise.
_USUAL_HELD_SPLIT = "eval"


def run_technique(
    executor: BaseExecutor,
    input_dict: shell.ArtifactsByKey,
    output_dict: shell.ArtifactsByKey,
    output_key: str,
    config: TechniqueConfig,
    data: ExamplesConfig,
) -> None:
    """Optimizes a model, writes it, and records what became of its weights.

    Args:
      executor: Who calls.
      input_dict: With `model`, `examples` and `schema`.
      output_dict: With the model to write, and `model_run`.
      output_key: Of the model to write.
      config: Which technique, and how to fine-tune.
      data: Label and features of the examples.
    """
    with shell.local_folder(shell.single(input_dict, "model").uri) as source:
        result = optimize_model(
            OptimizationRequest(
                model=source,
                config=config,
                files=training_files(input_dict, config.split),
                schema=load_schema(shell.schema_file(shell.single(input_dict, "schema"))),
                data=data,
                held_files=held_files(input_dict, config),
                watch=watch(executor, shell.single(output_dict, "model_run")),
            )
        )
    *earlier, snapshot = result.history
    for evaluation in snapshot.evaluations:
        progress.tell(node_id(executor), evaluation.describe())
    if result.harm is not None:
        progress.tell(node_id(executor), f"worse: {result.harm}")
    tell_lost(executor, result.lost)
    output = shell.single(output_dict, output_key)
    with shell.staged_output(output.uri) as folder:
        written = result.write(folder)
    shell.record(
        output,
        {
            metadata_keys.CONTENT_DIGEST: written.content_digest,
            metadata_keys.SOURCE_DIGEST: result.source_digest,
            metadata_keys.SPARSITY: sparsity(snapshot.kernels),
            metadata_keys.MAX_DISTINCT_WEIGHTS: max_distinct(snapshot.kernels),
            **evaluation_properties(snapshot.evaluations),
            **gains_properties(earlier, result.lost, written.gains_digest),
        },
    )


def training_files(input_dict: shell.ArtifactsByKey, split: str) -> tuple[str, ...]:
    """Returns the files of the split to train on.

    Raises:
      ExamplesError: A split is empty: also one that a later component reads, which would be found only at the very end.
    """
    examples = shell.single(input_dict, "examples")
    shell.refuse_empty_splits(examples)
    return shell.split_files(examples, split)


def held_files(input_dict: shell.ArtifactsByKey, config: FineTuningConfig) -> tuple[str, ...]:
    """Returns the files of the split that a stage is measured on and not trained on; none when there is no such split.

    Raises:
      ExamplesError: The configuration names a split that is not there.
    """
    examples = shell.single(input_dict, "examples")
    if config.evaluation_split is not None:
        return shell.split_files(examples, config.evaluation_split)
    is_there = _USUAL_HELD_SPLIT in artifact_utils.decode_split_names(examples.split_names)
    return shell.split_files(examples, _USUAL_HELD_SPLIT) if is_there and config.split != _USUAL_HELD_SPLIT else ()


def evaluation_properties(evaluations: Sequence[StageEvaluation]) -> dict[str, str | int | float]:
    """Returns what is recorded of a stage's loss and metrics."""
    return {
        metadata_keys.STAGE_VALUE.format(part=evaluation.part, name=name, when=when): value
        for evaluation in evaluations
        for when, values in (("before", evaluation.before), ("after", evaluation.after))
        for name, value in values.items()
    }


def watch(executor: BaseExecutor, model_run: Artifact) -> Watch:
    """Returns where the training of a component tells how it goes: TensorBoard logs, and a line for each epoch."""
    node = node_id(executor)
    return Watch(log_folder=model_run.uri, report=lambda text: progress.tell(node, text))


def tell_lost(executor: BaseExecutor, lost: Sequence[str]) -> None:
    """Says what is lost, if anything is."""
    if lost:
        progress.tell(node_id(executor), f"lost: {'; '.join(lost)}")


def gains_properties(
    earlier: Sequence[WeightSnapshot], lost: Sequence[str], gains_digest: str
) -> dict[str, str | int | float]:
    """Returns what is recorded of `gains.json`."""
    return {
        **({metadata_keys.SPARSITY_BEFORE: sparsity(earlier[-1].kernels)} if earlier else {}),
        metadata_keys.LOST_GAINS: "; ".join(lost),
        metadata_keys.GAINS_DIGEST: gains_digest,
    }
