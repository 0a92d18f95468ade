"""Reads TFX Examples as batches of (model inputs, label), with the schema as the contract between the two.

The model says which inputs it takes and in which shape; the schema says which features exist and of which type. Both
are compared before any training starts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras
from google.protobuf import text_format
from pydantic import Field
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.config import Config
from slimline.core.tfrecord import read_records
from slimline.errors import ExamplesError, near_miss

_DTYPES = {schema_pb2.FLOAT: tf.float32, schema_pb2.INT: tf.int64, schema_pb2.BYTES: tf.string}
_SHUFFLE_BUFFER = 10_000


class ExamplesConfig(Config):
    """How Examples become what a model is trained and measured on.

    Attributes:
      label_key: Feature that holds the label.
      input_features: For each model input whose name is not the name of a feature, the feature to feed it. A model of
        one input needs no entry when the Examples have one feature besides the label.
    """

    label_key: str = Field(min_length=1)
    input_features: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Records:
    """The files of one split, read through once: none is broken.

    Attributes:
      files: Paths or URIs of TFRecord files, sorted.
      num_records: Records in all files together.
    """

    files: tuple[str, ...]
    num_records: int


def load_schema(path: str) -> schema_pb2.Schema:
    """Loads `schema.pbtxt`.

    Raises:
      ExamplesError: There is no such file, or it is no schema.
    """
    if not tf.io.gfile.exists(path):
        raise ExamplesError(f"no file {path}", "a schema.pbtxt", "wire a SchemaGen or ImportSchemaGen to `schema`")
    with tf.io.gfile.GFile(path) as stream:
        text = stream.read()
    try:
        return text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise ExamplesError(f"{path} is no schema: {error}", "a schema.pbtxt", "write it with SchemaGen") from None


def list_files(split_uri: str) -> tuple[str, ...]:
    """Returns the files of a split, sorted.

    Raises:
      ExamplesError: The split has no files.
    """
    files = sorted(tf.io.gfile.glob(f"{split_uri}/*")) if tf.io.gfile.isdir(split_uri) else []
    if not files:
        raise ExamplesError(f"no files in {split_uri}", "TFRecord files", "check that ExampleGen writes this split")
    return tuple(files)


def check_records(files: Sequence[str]) -> Records:
    """Reads every record once, so that a broken file is found before any training.

    Raises:
      ExamplesError: A record is broken, or there are none.
    """
    num_records = 0
    for file in files:
        with tf.io.gfile.GFile(file, "rb") as stream:
            num_records += sum(1 for _ in read_records(stream, file))
    if not num_records:
        raise ExamplesError(
            f"no records in {', '.join(files)}", "at least one record", "check that ExampleGen fills this split"
        )
    return Records(tuple(files), num_records)


def has_records(files: Sequence[str]) -> bool:
    """Returns whether any of the files holds a record; reads no further than that.

    Raises:
      ExamplesError: The first record of a file is broken.
    """
    for file in files:
        with tf.io.gfile.GFile(file, "rb") as stream:
            if next(read_records(stream, file), None) is not None:
                return True
    return False


def labelled_batches(
    records: Records,
    schema: schema_pb2.Schema,
    model: tf_keras.Model,
    config: ExamplesConfig,
    *,
    batch_size: int,
    shuffle_seed: int | None = None,
) -> tf.data.Dataset:
    """Reads a split as a dataset of (inputs, label).

    Args:
      records: The split's files.
      schema: Schema of the Examples.
      model: Model whose inputs the features are matched with.
      config: Label and input features.
      batch_size: Examples per batch; the last batch may be smaller.
      shuffle_seed: Shuffles anew in each pass, the same way for the same seed; no shuffling when left out.

    Returns:
      A dataset whose inputs are a dictionary from input name to a tensor of the input's shape and dtype, and whose
      label is a tensor of shape (batch,) or (batch, …) as the schema says.

    Raises:
      ExamplesError: The label or a feature is missing in the schema, or does not fit.
    """
    inputs = _input_features(model, schema, config)
    label = _find_feature(schema, config.label_key, "the label", "give label_key=... the name of a feature")
    spec = {feature.name: _parse_spec(feature, size) for feature, size in inputs.values()}
    spec[label.name] = tf.io.FixedLenFeature(_label_shape(label), _DTYPES[label.type])

    def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        parsed = tf.io.parse_example(serialized, spec)
        return _to_inputs(parsed, inputs, model), parsed[label.name]

    dataset = _open(records)
    if shuffle_seed is not None:
        dataset = dataset.shuffle(min(records.num_records, _SHUFFLE_BUFFER), seed=shuffle_seed)
    return dataset.batch(batch_size).map(parse).prefetch(1)


def representative_inputs(
    records: Records, schema: schema_pb2.Schema, model: tf_keras.Model, config: ExamplesConfig
) -> Iterator[dict[str, Any]]:
    """Yields one example after the other as NumPy arrays of shape (1, …) by input name; labels are not needed.

    Raises:
      ExamplesError: A feature is missing in the schema, or in a record.
    """
    inputs = _input_features(model, schema, config)
    spec = {feature.name: _parse_spec(feature, size) for feature, size in inputs.values()}

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        return _to_inputs(tf.io.parse_example(serialized, spec), inputs, model)

    yield from as_numpy(_open(records).batch(1).map(parse), records)


def as_numpy(dataset: tf.data.Dataset, records: Records) -> Iterator[Any]:
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


_Inputs: TypeAlias = dict[str, tuple[schema_pb2.Feature, int]]


def _open(records: Records) -> tf.data.Dataset:
    """Opens files in their order, each compressed or not."""
    is_gzip = []
    for file in records.files:
        with tf.io.gfile.GFile(file, "rb") as stream:
            is_gzip.append(stream.read(2) == b"\x1f\x8b")
    parts = [
        tf.data.TFRecordDataset(file, compression_type="GZIP" if compressed else "")
        for file, compressed in zip(records.files, is_gzip, strict=True)
    ]
    dataset = parts[0]
    for part in parts[1:]:
        dataset = dataset.concatenate(part)
    return dataset


def _input_features(model: tf_keras.Model, schema: schema_pb2.Schema, config: ExamplesConfig) -> _Inputs:
    """Matches each model input with a feature, and returns the feature and the number of values it must hold."""
    chosen = config.input_features
    unknown = sorted(set(chosen) - set(model.input_names))
    if unknown:
        raise ExamplesError(
            f"input_features names {unknown[0]!r}, which is no input of the model",
            "one of " + ", ".join(sorted(model.input_names)),
            f"correct input_features.{near_miss(unknown[0], model.input_names)}",
        )
    others = [feature.name for feature in schema.feature if feature.name != config.label_key]
    single = others[0] if len(others) == 1 and len(model.inputs) == 1 else None
    inputs: _Inputs = {}
    for name, tensor in zip(model.input_names, model.inputs, strict=True):
        wanted = chosen.get(name) or (single if single and name not in others else name)
        feature = _find_feature(
            schema, wanted, f"the model input {name!r}", "name the Input layer after a feature, or give input_features"
        )
        inputs[name] = (feature, _input_size(name, tensor, feature))
    return inputs


def _input_size(name: str, tensor: Any, feature: schema_pb2.Feature) -> int:
    if None in tensor.shape[1:]:
        raise ExamplesError(
            f"the model input {name!r} has the shape {tuple(tensor.shape)}",
            "a fixed size in every dimension but the batch",
            "give the Input layer its full shape",
        )
    size = prod(tensor.shape[1:])
    if (feature.type == schema_pb2.BYTES) != (tensor.dtype == tf.string):
        raise ExamplesError(
            f"feature {feature.name!r} is {schema_pb2.FeatureType.Name(feature.type)}, "
            f"but the model input {name!r} is {tensor.dtype}",
            "numbers for numbers, and strings for strings",
            "decode the feature in a Transform, and wire its transformed Examples and schema instead",
        )
    in_schema = prod(dim.size for dim in feature.shape.dim)
    if feature.HasField("shape") and in_schema != size:
        raise ExamplesError(
            f"feature {feature.name!r} has {in_schema} values, but the model input {name!r} takes {size}",
            f"{size} values, for the shape {tuple(tensor.shape[1:])}",
            "correct the Input layer's shape, or choose another feature with input_features",
        )
    return size


def _find_feature(schema: schema_pb2.Schema, name: str, purpose: str, remedy: str) -> schema_pb2.Feature:
    for feature in schema.feature:
        if feature.name == name:
            return feature
    known = sorted(feature.name for feature in schema.feature)
    raise ExamplesError(
        f"the schema has no feature {name!r}, which is wanted for {purpose}",
        "one of " + ", ".join(known),
        f"{remedy}.{near_miss(name, known)}",
    )


def _parse_spec(feature: schema_pb2.Feature, size: int) -> tf.io.FixedLenFeature:
    return tf.io.FixedLenFeature([size], _DTYPES[feature.type])


def _label_shape(label: schema_pb2.Feature) -> list[int]:
    shape = [dim.size for dim in label.shape.dim]
    return [] if prod(shape) == 1 else shape


def _to_inputs(parsed: Mapping[str, tf.Tensor], inputs: _Inputs, model: tf_keras.Model) -> dict[str, tf.Tensor]:
    shaped = {}
    for name, tensor in zip(model.input_names, model.inputs, strict=True):
        values = tf.reshape(parsed[inputs[name][0].name], [-1, *tensor.shape[1:]])
        shaped[name] = values if tensor.dtype == tf.string else tf.cast(values, tensor.dtype)
    return shaped
