"""Matches a model's inputs and outputs with the features of a schema.

The model says which inputs it takes and in which shape; the schema says which features exist and of which type. Both
are compared before any training starts.
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.examples.example_features import example_parser, values_of
from slimline.core.models.loading import TrainedModel
from slimline.errors import ExamplesError, near_miss

# For each model input, the feature that feeds it and the number of its values.
InputFeatures: TypeAlias = dict[str, tuple[schema_pb2.Feature, int]]

_DTYPES = {schema_pb2.FLOAT: tf.float32, schema_pb2.INT: tf.int64, schema_pb2.BYTES: tf.string}


def load_schema(path: str) -> schema_pb2.Schema:
    """Loads `schema.pbtxt`: that of raw Examples, or the post-transform schema of transformed ones.

    Raises:
      ExamplesError: There is no such file, or it is no schema.
    """
    # To read a pipe or a device would take forever.
    is_special = "://" not in path and Path(path).exists() and not Path(path).is_file()
    if is_special or not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
        raise ExamplesError(
            f"no file {path}",
            "a schema.pbtxt",
            "wire SchemaGen, ImportSchemaGen or Transform's post_transform_schema to `schema`",
        )
    with tf.io.gfile.GFile(path) as stream:
        text = stream.read()
    try:
        return text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise ExamplesError(f"{path} is no schema: {error}", "a schema.pbtxt", "write it with SchemaGen") from None


def infer_schema(record: bytes) -> schema_pb2.Schema:
    """Returns the schema that one serialized tf.Example stands for, where nobody wrote one.

    Raises:
      ExamplesError: The record is no tf.Example.
    """
    example = example_parser()(record)
    schema = schema_pb2.Schema()
    for name in sorted(example.features.feature):
        values = values_of(example, name)
        if not values:
            continue
        kind = schema_pb2.BYTES if isinstance(values[0], bytes) else schema_pb2.FLOAT
        feature = schema.feature.add(name=name, type=schema_pb2.INT if isinstance(values[0], int) else kind)
        feature.shape.dim.add(size=len(values))
    return schema


def match_inputs(
    model: TrainedModel, schema: schema_pb2.Schema, chosen: Mapping[str, str], labels: frozenset[str]
) -> InputFeatures:
    """Finds the feature for each model input.

    Args:
      model: The model.
      schema: Schema of the Examples.
      chosen: Features for inputs that are not named like one.
      labels: Names of the features that are labels. Where the schema has just one other feature and the model one
        input, they belong together whatever their names are.

    Raises:
      ExamplesError: There is no feature for an input, or it does not fit.
    """
    unknown = sorted(set(chosen) - set(model.input_names))
    if unknown:
        raise ExamplesError(
            f"input_features names {unknown[0]!r}, which is no input of the model",
            "one of " + ", ".join(sorted(model.input_names)),
            f"correct input_features.{near_miss(unknown[0], model.input_names)}",
        )
    others = [feature.name for feature in schema.feature if feature.name not in labels]
    single = others[0] if len(others) == 1 and len(model.inputs) == 1 else None
    inputs: InputFeatures = {}
    for name, tensor in zip(model.input_names, model.inputs, strict=True):
        wanted = chosen.get(name) or (single if single and name not in others else name)
        feature = find_feature(
            schema, wanted, f"the model input {name!r}", "name the Input layer after a feature, or give input_features"
        )
        inputs[name] = (feature, _input_size(name, tensor, feature))
    return inputs


def find_feature(schema: schema_pb2.Schema, name: str, purpose: str, remedy: str) -> schema_pb2.Feature:
    """Returns a feature of a schema.

    Raises:
      ExamplesError: There is none of that name; the message names the nearest.
    """
    for feature in schema.feature:
        if feature.name == name:
            return feature
    known = sorted(feature.name for feature in schema.feature)
    raise ExamplesError(
        f"the schema has no feature {name!r}, which is wanted for {purpose}",
        "one of " + ", ".join(known),
        f"{remedy}.{near_miss(name, known)}",
    )


def input_spec(inputs: InputFeatures) -> dict[str, tf.io.FixedLenFeature]:
    """Returns how to parse the features of all inputs."""
    return {
        feature.name: tf.io.FixedLenFeature([num_values], _DTYPES[feature.type])
        for feature, num_values in inputs.values()
    }


def label_spec(label: schema_pb2.Feature) -> tf.io.FixedLenFeature:
    """Returns how to parse a label: as a scalar when it is a single value, else in the schema's shape."""
    shape = [dim.size for dim in label.shape.dim]
    return tf.io.FixedLenFeature([] if prod(shape) == 1 else shape, _DTYPES[label.type])


def schema_spec(schema: schema_pb2.Schema) -> dict[str, Any]:
    """Returns how to parse all features: in the schema's shape, or as of variable length where it has none."""
    return {
        feature.name: tf.io.FixedLenFeature([dim.size for dim in feature.shape.dim], _DTYPES[feature.type])
        if feature.HasField("shape")
        else tf.io.VarLenFeature(_DTYPES[feature.type])
        for feature in schema.feature
    }


def to_inputs(parsed: Mapping[str, tf.Tensor], inputs: InputFeatures, model: TrainedModel) -> dict[str, tf.Tensor]:
    """Brings parsed features into the inputs' shapes and types."""
    shaped = {}
    for name, tensor in zip(model.input_names, model.inputs, strict=True):
        feature, _ = inputs[name]
        values = tf.reshape(parsed[feature.name], [-1, *(_sizes(tensor, feature) or tensor.shape[1:])])
        shaped[name] = values if tensor.dtype == tf.string else tf.cast(values, tensor.dtype)
    return shaped


def _sizes(tensor: Any, feature: schema_pb2.Feature) -> tuple[int, ...] | None:
    """Returns an input's shape without the batch; what is open in it comes from the schema. None where that is open."""
    own = list(tensor.shape[1:])
    if None not in own:
        return tuple(own)
    listed = [dim.size for dim in feature.shape.dim]
    if len(listed) == len(own) and all(size in (None, other) for size, other in zip(own, listed, strict=True)):
        return tuple(listed)
    fixed = prod(size for size in own if size is not None)
    if own.count(None) == 1 and listed and fixed and prod(listed) % fixed == 0:
        return tuple(prod(listed) // fixed if size is None else size for size in own)
    return None


def _input_size(name: str, tensor: Any, feature: schema_pb2.Feature) -> int:
    sizes = _sizes(tensor, feature)
    if sizes is None:
        raise ExamplesError(
            f"the model input {name!r} has the shape {tuple(tensor.shape)}, and the schema does not say in which size "
            f"feature {feature.name!r} comes",
            "a fixed size in every dimension but the batch, in the model or in the schema",
            "write the feature's shape into the schema, give input_shape, or give the Input layer its full shape",
        )
    size = prod(sizes)
    if (feature.type == schema_pb2.BYTES) != (tensor.dtype == tf.string):
        raise ExamplesError(
            f"feature {feature.name!r} is {schema_pb2.FeatureType.Name(feature.type)}, "
            f"but the model input {name!r} is {tf.as_dtype(tensor.dtype).name}",
            "numbers for numbers, and strings for strings",
            "decode the feature in a Transform and wire its transformed Examples and post_transform_schema, "
            "or give preprocessing_fn",
        )
    in_schema = prod(dim.size for dim in feature.shape.dim)
    if feature.HasField("shape") and in_schema != size:
        raise ExamplesError(
            f"feature {feature.name!r} has {in_schema} values, but the model input {name!r} takes {size}",
            f"{size} values, for the shape {tuple(tensor.shape[1:])}",
            "correct the Input layer's shape, or choose another feature with input_features",
        )
    return size
