"""Reads TFX Examples as batches of (model inputs, label)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.features import (
    find_feature,
    input_spec,
    label_spec,
    match_inputs,
    schema_spec,
    to_inputs,
)
from slimline.core.examples.records import CheckedRecords, FileSet, open_records
from slimline.core.models.loading import TrainedModel
from slimline.core.user_code import load_function
from slimline.errors import ConfigError, ExamplesError

_SHUFFLE_BUFFER = 10_000
# What TensorFlow takes where no seed of the process is set.
_PROCESS_SEED = 87654321

_Parse: TypeAlias = Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], Any]]


def labelled_batches(
    records: FileSet,
    schema: schema_pb2.Schema,
    model: TrainedModel,
    config: ExamplesConfig,
    *,
    batch_size: int,
    shuffle_seed: int | None = None,
    with_records: bool = False,
) -> tf.data.Dataset:
    """Reads a split as a dataset of (inputs, label).

    Args:
      records: The split's files; checked ones for shuffling.
      schema: Schema of the Examples.
      model: Model whose inputs the features are matched with.
      config: Label and input features, or the user's own functions.
      batch_size: Examples per batch; the last batch may be smaller.
      shuffle_seed: Shuffles anew in each pass, the same way for the same seed; no shuffling when left out. A user's
        `input_fn` shuffles itself.
      with_records: Gives pairs of (serialized records, (inputs, label)) instead. A user's `input_fn` has no records.

    Returns:
      A dataset whose inputs are a dictionary from input name to a tensor of the input's shape and dtype, and whose
      label is a tensor of shape (batch,) or (batch, …) as the schema says, or a dictionary of such by output name.

    Raises:
      ExamplesError: The label or a feature is missing in the schema, or does not fit.
      ConfigError: A function can't be imported, or returns something else than expected.
    """
    if config.input_fn is not None:
        return _read_with_input_fn(config.input_fn, records, schema, model, batch_size)
    parse = _labelled_parser(schema, model, config)
    dataset = open_records(records)
    if shuffle_seed is not None:
        assert isinstance(records, CheckedRecords)
        # TensorFlow mixes the process's seed into this one: after a Trainer the order would not be that of a process of
        # its own. Whoever trains on this sets the seed of the process afterwards.
        tf.random.set_seed(_PROCESS_SEED)
        dataset = dataset.shuffle(min(records.num_records, _SHUFFLE_BUFFER), seed=shuffle_seed)
    serialized = dataset.batch(batch_size)
    batches = serialized.map(parse).prefetch(1)
    if config.preprocessing_fn is not None:
        _require_pair(batches.element_spec, f"preprocessing_fn={config.preprocessing_fn!r}", model)
    return serialized.map(lambda records: (records, parse(records))).prefetch(1) if with_records else batches


def representative_inputs(
    records: FileSet, schema: schema_pb2.Schema, model: TrainedModel, config: ExamplesConfig
) -> Iterator[dict[str, Any]]:
    """Yields one example after the other as NumPy arrays of shape (1, …) by input name; labels are not needed.

    Raises:
      ExamplesError: A feature is missing in the schema, or in a record.
      ConfigError: A function can't be imported, or returns something else than expected.
    """
    if config.input_fn is not None or config.preprocessing_fn is not None:
        dataset = labelled_batches(records, schema, model, config, batch_size=1)
        yield from (inputs for inputs, _ in as_numpy(dataset, records))
        return
    inputs = match_inputs(model, schema, config.input_features, frozenset(config.label_features.values()))
    spec = input_spec(inputs)

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        return to_inputs(tf.io.parse_example(serialized, spec), inputs, model)

    yield from as_numpy(open_records(records).batch(1).map(parse), records)


def check_batches(dataset: tf.data.Dataset, records: FileSet) -> int:
    """Reads a dataset once before any training, and returns the number of its examples.

    Raises:
      ExamplesError: A record lacks a feature or its label, or holds NaN or infinity.
    """
    num_examples = 0
    for inputs, label in as_numpy(dataset, records):
        named = {**inputs, "the label": label} if isinstance(inputs, Mapping) else {"the input": inputs}
        for name, values in named.items():
            for array in tf.nest.flatten(values):
                if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                    raise ExamplesError(
                        f"NaN or infinity in {name}, in example {num_examples} or one of the {len(array)} from it on",
                        "finite numbers",
                        "clean the data, or leave such examples out in a Transform",
                    )
        num_examples += len(tf.nest.flatten(inputs)[0])
    return num_examples


def as_numpy(dataset: tf.data.Dataset, records: FileSet) -> Iterator[Any]:
    """Iterates over a dataset's batches as NumPy arrays.

    Raises:
      ExamplesError: A record lacks a feature, or holds it in another type or size than the schema says.
    """
    try:
        yield from dataset.as_numpy_iterator()
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        raise ExamplesError(
            f"a record in {', '.join(records.files)} can't be parsed: {error.message}",
            "tf.Examples that hold the features which the schema names, in their type and size",
            "correct the data or the schema; ExampleValidator lists the anomalies",
        ) from None


def _labelled_parser(schema: schema_pb2.Schema, model: TrainedModel, config: ExamplesConfig) -> _Parse:
    if config.preprocessing_fn is not None:
        return _parser_with_preprocessing_fn(config.preprocessing_fn, schema)
    labels = {
        output: find_feature(schema, name, "the label", "give label_key=... the name of a feature")
        for output, name in config.label_features.items()
    }
    _require_outputs(labels, model)
    inputs = match_inputs(model, schema, config.input_features, frozenset(config.label_features.values()))
    spec = {**input_spec(inputs), **{label.name: label_spec(label) for label in labels.values()}}

    def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], Any]:
        parsed = tf.io.parse_example(serialized, spec)
        values = to_inputs(parsed, inputs, model)
        if config.label_is_input:
            return values, values[model.input_names[0]] if len(values) == 1 else values
        by_output = {output: parsed[label.name] for output, label in labels.items()}
        return values, by_output.get("", by_output)

    return parse


def _require_outputs(labels: Mapping[str, Any], model: TrainedModel) -> None:
    if set(labels) - {""} and set(labels) != set(model.output_names):
        raise ConfigError(
            f"label_key for the outputs {', '.join(sorted(labels))}",
            f"one for each output of the model: {', '.join(model.output_names)}",
            "correct the names in label_key={…}",
        )


def _parser_with_preprocessing_fn(path: str, schema: schema_pb2.Schema) -> _Parse:
    function = load_function(path, "preprocessing_fn")
    spec = schema_spec(schema)

    def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], Any]:
        pair: tuple[dict[str, tf.Tensor], Any] = function(tf.io.parse_example(serialized, spec))
        return pair

    return parse


def _read_with_input_fn(
    path: str, records: FileSet, schema: schema_pb2.Schema, model: TrainedModel, batch_size: int
) -> tf.data.Dataset:
    dataset = load_function(path, "input_fn")(list(records.files), schema, batch_size)
    if not isinstance(dataset, tf.data.Dataset):
        raise ConfigError(
            f"input_fn={path!r}, which returned {type(dataset).__name__}",
            "a tf.data.Dataset of batches of (inputs by name, label)",
            "return the dataset from the function",
        )
    _require_pair(dataset.element_spec, f"input_fn={path!r}", model)
    return dataset


def _require_pair(given: Any, source: str, model: TrainedModel) -> None:
    is_pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Mapping)
    if not is_pair or set(given[0]) != set(model.input_names):
        found = f"inputs {', '.join(sorted(given[0]))}" if is_pair else f"{type(given).__name__}"
        raise ConfigError(
            f"{source}, which gave {found}",
            f"a pair of (inputs by name, label), with the inputs {', '.join(model.input_names)}",
            "correct what the function returns",
        )
