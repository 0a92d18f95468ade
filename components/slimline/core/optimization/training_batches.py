"""What batches become on their way into the training alone: augmented, and weighted by their class."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from slimline.core.optimization.training_config import FineTuningConfig
from slimline.core.user_code import load_function
from slimline.errors import ConfigError


def augmented(dataset: tf.data.Dataset, config: FineTuningConfig) -> tf.data.Dataset:
    """Applies the user's augmentation to each batch of (inputs, label), and gives it the types that it had.

    Raises:
      ConfigError: The function can't be loaded, or gives something else than such a batch.
    """
    if config.augment_fn is None:
        return dataset
    function = load_function(config.augment_fn, "augment_fn")
    spec = dataset.element_spec

    changed = dataset.map(function)
    try:
        tf.nest.assert_same_structure(changed.element_spec, spec)
    except (TypeError, ValueError):
        raise ConfigError(
            f"augment_fn={config.augment_fn!r}, which gave {type(changed.element_spec).__name__}",
            f"a pair of (inputs by name, label), as it gets it: {spec}",
            "return inputs and label, changed or not, from the function",
        ) from None
    return changed.map(lambda *batch: tf.nest.map_structure(_as_it_was, batch, spec))


def order_labels(dataset: tf.data.Dataset, output_names: Sequence[str]) -> tf.data.Dataset:
    """Gives labels that are named by output in the order of the outputs, since wrappers change the names alone."""
    label = dataset.element_spec[1]
    if not isinstance(label, Mapping):
        return dataset

    def order(inputs: Any, labels: Mapping[str, tf.Tensor], *weights: tf.Tensor) -> tuple[Any, ...]:
        return (inputs, tuple(labels[name] for name in output_names), *weights)

    return dataset.map(order)


def weighted(dataset: tf.data.Dataset, config: FineTuningConfig) -> tf.data.Dataset:
    """Gives each example the weight of its class.

    Args:
      dataset: Batches of (inputs, label); the label is a number, or one-hot.
      config: Weights by class; a class without one counts once.

    Raises:
      ConfigError: There are several labels.
    """
    if not config.class_weights:
        return dataset
    label = dataset.element_spec[1]
    if not isinstance(label, tf.TensorSpec):
        raise ConfigError(
            "class_weights for a model of several outputs", "one output", "leave class_weights out for this model"
        )

    def weigh(inputs: Any, label: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        is_one_hot = label.shape.rank == 2 and label.shape[-1] not in (None, 1)
        classes = tf.argmax(label, axis=-1) if is_one_hot else tf.cast(tf.reshape(label, [-1]), tf.int64)
        weights = tf.ones_like(classes, tf.float32)
        for number, weight in config.class_weights.items():
            weights = tf.where(classes == number, tf.constant(weight, tf.float32), weights)
        return inputs, label, weights

    return dataset.map(weigh)


def _as_it_was(values: Any, spec: tf.TensorSpec) -> tf.Tensor:
    return tf.ensure_shape(tf.cast(values, spec.dtype), spec.shape)
