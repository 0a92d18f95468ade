"""Serialized tf.Examples of any features."""

from collections.abc import Sequence

import tensorflow as tf

Value = int | float | str | bytes


def tf_example(**features: Value | Sequence[Value]) -> bytes:
    """Returns a serialized tf.Example; a feature of an empty list is there without values."""
    return tf.train.Example(
        features=tf.train.Features(feature={name: _feature(given) for name, given in features.items()})
    ).SerializeToString(deterministic=True)


def _feature(given: Value | Sequence[Value]) -> tf.train.Feature:
    values = [given] if isinstance(given, int | float | str | bytes) else list(given)
    if all(isinstance(value, int) for value in values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if all(isinstance(value, int | float) for value in values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    texts = [value.encode() if isinstance(value, str) else value for value in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))
