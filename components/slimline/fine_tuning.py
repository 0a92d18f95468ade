"""The shell around a stage that fine-tunes: a Keras model and Examples in, an optimized Keras model out.

Pruner and Clusterer differ in the core function that they call, and in nothing else.
"""

from collections.abc import Callable

import tensorflow as tf
import tf_keras
from tfx.types.artifact import Artifact

from slimline import names, shell
from slimline.core.digest import model_digest
from slimline.core.examples import ExamplesConfig, check_records, labelled_batches, load_schema
from slimline.core.model_io import load_keras_model, save_keras_model
from slimline.core.training import FineTuningConfig
from slimline.core.weights import OptimizedModel, sparsity


def run_stage(
    input_dict: shell.ArtifactsByKey,
    output: Artifact,
    config: FineTuningConfig,
    data: ExamplesConfig,
    optimize: Callable[[tf_keras.Model, tf.data.Dataset, int], OptimizedModel],
) -> None:
    """Reads model, schema and examples, optimizes, writes the model and records what became of its weights.

    Args:
      input_dict: With `model`, `examples` and `schema`.
      output: The `Model` artifact to write.
      config: How to fine-tune.
      data: Label and features of the examples.
      optimize: From model, dataset and number of examples to the optimized model.
    """
    with shell.local_folder(shell.single(input_dict, "model").uri) as source:
        model = load_keras_model(source)
        source_digest = model_digest(source)
    schema = load_schema(shell.schema_file(shell.single(input_dict, "schema")))
    examples = shell.single(input_dict, "examples")
    shell.refuse_empty_splits(examples)
    records = check_records(shell.split_files(examples, config.split))
    dataset = labelled_batches(records, schema, model, data, batch_size=config.batch_size, shuffle_seed=config.seed)
    optimized = optimize(model, dataset, records.num_records)
    with shell.staged_output(output.uri) as folder:
        save_keras_model(optimized.model, folder)
        content_digest = model_digest(folder)
    shell.record(
        output,
        {
            names.CONTENT_DIGEST: content_digest,
            names.SOURCE_DIGEST: source_digest,
            names.SPARSITY: sparsity(optimized.kernels),
            names.MAX_DISTINCT_WEIGHTS: max(kernel.num_distinct for kernel in optimized.kernels),
        },
    )
