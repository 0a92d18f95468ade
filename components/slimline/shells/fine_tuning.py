"""The shell around everything that trains: Examples in, and what came of the weights on record.

Pruner and Clusterer differ in the core function that they call, and in nothing else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf
import tf_keras
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types.artifact import Artifact

from slimline.core.digest import file_digest, model_digest
from slimline.core.examples.batches import check_batches, labelled_batches
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.features import load_schema
from slimline.core.examples.records import check_records
from slimline.core.models.loading import load_keras_model
from slimline.core.models.saving import save_keras_model
from slimline.core.models.weights import max_distinct, sparsity
from slimline.core.optimization.techniques import OptimizedModel
from slimline.core.optimization.training import Watch
from slimline.core.optimization.training_config import FineTuningConfig, TechniqueConfig
from slimline.core.optimization.weight_history import (
    WeightSnapshot,
    load_history,
    lost_gains,
    require_kept,
    save_history,
)
from slimline.names import metadata_keys
from slimline.shells import progress, shell

Optimize = Callable[[tf_keras.Model, tf.data.Dataset, int, Watch], OptimizedModel]


def run_technique(
    executor: BaseExecutor,
    input_dict: shell.ArtifactsByKey,
    output_dict: shell.ArtifactsByKey,
    output_key: str,
    config: TechniqueConfig,
    data: ExamplesConfig,
    optimize: Optimize,
) -> None:
    """Reads model, schema and examples, optimizes, writes the model and records what became of its weights.

    Args:
      executor: Who calls.
      input_dict: With `model`, `examples` and `schema`.
      output_dict: With the model to write, and `model_run`.
      output_key: Of the model to write.
      config: How to fine-tune.
      data: Label and features of the examples.
      optimize: From model, dataset, number of examples and watch to the optimized model.
    """
    with shell.local_folder(shell.single(input_dict, "model").uri) as source:
        model = load_keras_model(source, config.custom_objects)
        source_digest = model_digest(source)
        history = load_history(source, model)
    dataset, num_examples = read_training_data(input_dict, model, config, data)
    optimized = optimize(model, dataset, num_examples, watch(executor, shell.single(output_dict, "model_run")))
    snapshot = WeightSnapshot(str(optimized.technique), optimized.kernels, optimized.left)
    lost = lost_gains(history[-1], snapshot)
    check_kept(executor, lost, config.on_lost_gain)
    output = shell.single(output_dict, output_key)
    with shell.staged_output(output.uri) as folder:
        save_keras_model(optimized.model, folder)
        content_digest = model_digest(folder)
        gains = save_history(folder, (*history, snapshot), lost)
        gains_properties = describe_gains(gains, history, lost)
    shell.record(
        output,
        {
            metadata_keys.CONTENT_DIGEST: content_digest,
            metadata_keys.SOURCE_DIGEST: source_digest,
            metadata_keys.SPARSITY: sparsity(snapshot.kernels),
            metadata_keys.MAX_DISTINCT_WEIGHTS: max_distinct(snapshot.kernels),
            **gains_properties,
        },
    )


def read_training_data(
    input_dict: shell.ArtifactsByKey, model: tf_keras.Model, config: FineTuningConfig, data: ExamplesConfig
) -> tuple[tf.data.Dataset, int]:
    """Returns the training split as batches, and the number of its examples, after reading all of it once.

    Raises:
      ExamplesError: A split is empty, a record is broken, or the data do not fit the model.
    """
    schema = load_schema(shell.schema_file(shell.single(input_dict, "schema")))
    examples = shell.single(input_dict, "examples")
    shell.refuse_empty_splits(examples)
    records = check_records(shell.split_files(examples, config.split))
    in_order = labelled_batches(records, schema, model, data, batch_size=config.batch_size)
    num_examples = check_batches(in_order, records)
    shuffled = labelled_batches(records, schema, model, data, batch_size=config.batch_size, shuffle_seed=config.seed)
    return shuffled, num_examples


def watch(executor: BaseExecutor, model_run: Artifact) -> Watch:
    """Returns where the training of a component tells how it goes: TensorBoard logs, and a line for each epoch."""
    node_id = shell.node_id(executor)
    return Watch(log_folder=model_run.uri, report=lambda text: progress.tell(node_id, text))


def check_kept(executor: BaseExecutor, lost: Sequence[str], on_lost_gain: Literal["warn", "error"]) -> None:
    """Says what is lost, or fails, as the configuration wants it.

    Raises:
      ModelError: Something is lost, and `on_lost_gain` is `error`.
    """
    require_kept(lost, on_lost_gain)
    if lost:
        progress.tell(shell.node_id(executor), f"lost: {'; '.join(lost)}")


def describe_gains(gains: Path, history: Sequence[WeightSnapshot], lost: Sequence[str]) -> dict[str, Any]:
    """Returns what is recorded of `gains.json`."""
    return {
        **({metadata_keys.SPARSITY_BEFORE: sparsity(history[-1].kernels)} if history else {}),
        metadata_keys.LOST_GAINS: "; ".join(lost),
        metadata_keys.GAINS_DIGEST: file_digest(gains),
    }
