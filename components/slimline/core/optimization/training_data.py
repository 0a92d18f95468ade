"""The examples that a model is fine-tuned on: read once to check them, then shuffled anew in each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf
import tf_keras
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.examples.batches import check_batches, labelled_batches
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.records import check_records
from slimline.core.optimization.stage_evaluation import Part
from slimline.core.optimization.training_config import FineTuningConfig


@dataclass(frozen=True)
class TrainingData:
    """A split, checked.

    Attributes:
      dataset: Shuffled batches of (inputs, label).
      in_order: The same, unshuffled.
      num_examples: In one pass.
    """

    dataset: tf.data.Dataset
    in_order: tf.data.Dataset
    num_examples: int


def read_training_data(
    files: Sequence[str],
    schema: schema_pb2.Schema,
    model: tf_keras.Model,
    config: FineTuningConfig,
    data: ExamplesConfig,
) -> TrainingData:
    """Reads all of a split once, and opens it for training.

    Args:
      files: Of the split.
      schema: Of its examples.
      model: Whose inputs the features are matched with.
      config: How large a batch is, and the seed of shuffling.
      data: Label and features of the examples.

    Raises:
      ExamplesError: A record is broken, or the data do not fit the model.
    """
    records = check_records(files)
    in_order = labelled_batches(records, schema, model, data, batch_size=config.batch_size)
    num_examples = check_batches(in_order, records)
    shuffled = labelled_batches(records, schema, model, data, batch_size=config.batch_size, shuffle_seed=config.seed)
    return TrainingData(shuffled, in_order, num_examples)


def evaluation_parts(
    training: TrainingData,
    held_files: Sequence[str],
    schema: schema_pb2.Schema,
    model: tf_keras.Model,
    config: FineTuningConfig,
    data: ExamplesConfig,
) -> dict[Part, tf.data.Dataset]:
    """Returns what a stage is measured on: the training data, and the held part where there is one.

    Raises:
      ExamplesError: A record of the held part is broken, or does not fit the model.
    """
    parts: dict[Part, tf.data.Dataset] = {"training": training.in_order}
    if held_files:
        records = check_records(held_files)
        held = labelled_batches(records, schema, model, data, batch_size=config.batch_size)
        check_batches(held, records)
        parts["held"] = held
    return parts
