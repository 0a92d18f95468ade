"""Distillation: a model that is pruned, clustered or quantized learns what the original would have said.

The method is from Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015). Outputs without a
probability, such as logits and values, are matched by their squared difference, as in Ba and Caruana, "Do Deep Nets
Really Need to be Deep?" (2014).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tf_keras

from slimline.core.optimization.training_config import FineTuningConfig

_SMALLEST = 1e-7


@contextmanager
def taught_by(original: tf_keras.Model, model: tf_keras.Model, config: FineTuningConfig) -> Iterator[None]:
    """Adds the distance from the original's outputs to a model's loss, as long as the context lasts.

    Args:
      original: The teacher, which is not changed.
      model: The model to train, compiled, its outputs in the original's order.
      config: Weight and temperature; a weight of 0 changes nothing.
    """
    if not config.distillation_weight:
        yield
        return
    own_loss = model.compute_loss
    weight = config.distillation_weight
    activations = [_activation(tensor) for tensor in original.outputs]

    def compute_loss(x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> tf.Tensor:
        taught = tf.nest.flatten(original(x, training=False))
        given = tf.nest.flatten(y_pred)
        distances = [
            output_distance(teacher, student, activation, config.distillation_temperature)
            for teacher, student, activation in zip(taught, given, activations, strict=True)
        ]
        return (1 - weight) * own_loss(x, y, y_pred, sample_weight) + weight * tf.add_n(distances)

    model.compute_loss = compute_loss
    try:
        yield
    finally:
        del model.compute_loss


def output_distance(teacher: tf.Tensor, student: tf.Tensor, activation: str, temperature: float) -> tf.Tensor:
    """Returns how far an output is from the teacher's, as one number.

    Args:
      teacher: Shape (batch, …), what the original gives.
      student: The same of the model that is trained.
      activation: Of the output: softmax and sigmoid give probabilities, any other gives values.
      temperature: Softens probabilities. The distance is multiplied by its square, so that gradients keep their size.
    """
    teacher, student = tf.cast(teacher, tf.float32), tf.cast(student, tf.float32)
    if activation == "softmax":
        wanted = tf.nn.softmax(_log(teacher) / temperature)
        given = tf.nn.log_softmax(_log(student) / temperature)
        divergence = tf.reduce_sum(wanted * (_log(wanted) - given), axis=-1)
    elif activation == "sigmoid":
        wanted = tf.sigmoid((_log(teacher) - _log(1 - teacher)) / temperature)
        given = tf.sigmoid((_log(student) - _log(1 - student)) / temperature)
        divergence = wanted * (_log(wanted) - _log(given)) + (1 - wanted) * (_log(1 - wanted) - _log(1 - given))
    else:
        return tf.reduce_mean(tf.square(teacher - student))
    return temperature**2 * tf.reduce_mean(divergence)


def _activation(tensor: Any) -> str:
    layer = tensor.node.layer
    if isinstance(layer, tf_keras.layers.Softmax):
        return "softmax"
    # A nested model ends in the layer that gives its output.
    while isinstance(layer, tf_keras.Model):
        layer = layer.outputs[0].node.layer
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))


def _log(values: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(values, _SMALLEST))
