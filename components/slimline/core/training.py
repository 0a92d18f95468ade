"""Fine-tuning: the short training that a model gets while its weights are pruned or clustered."""

from collections.abc import Sequence
from math import ceil, isfinite

import tensorflow as tf
import tf_keras
from pydantic import Field

from slimline.core.config import Config
from slimline.errors import ConfigError, ModelError


class FineTuningConfig(Config):
    """What pruning and clustering share.

    Attributes:
      split: Name of the Examples split to train on.
      epochs: Passes over the split.
      batch_size: Examples per step.
      learning_rate: Of the optimizer that the model was compiled with, or of Adam when it was not compiled. A tenth of
        the original training's rate is usual.
      loss: Name of a Keras loss; the loss that the model was compiled with when left out.
      seed: Of shuffling and of random initial values. The same seed gives the same weights on the same machine.
    """

    split: str = Field(default="train", min_length=1)
    epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    loss: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)


def num_steps(num_examples: int, config: FineTuningConfig) -> int:
    """Returns the steps of the whole fine-tuning; the last, smaller batch of an epoch is a step too."""
    return ceil(num_examples / config.batch_size) * config.epochs


def fine_tune(
    model: tf_keras.Model,
    original: tf_keras.Model,
    dataset: tf.data.Dataset,
    config: FineTuningConfig,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
) -> None:
    """Trains `model` in place.

    Args:
      model: The model with TFMOT's wrappers around its layers.
      original: The model that it was made from, for its loss and optimizer.
      dataset: Batches of (inputs, label).
      config: Epochs, rate, loss.
      callbacks: TFMOT's callbacks.

    Raises:
      ConfigError: There is no loss.
      ModelError: The loss is not a finite number at the end.
    """
    compile_like(model, original, config)
    history = model.fit(dataset, epochs=config.epochs, callbacks=list(callbacks), verbose=2)
    final = history.history["loss"][-1]
    if not isfinite(final):
        raise ModelError(
            f"a loss of {final} after {config.epochs} epoch(s) of fine-tuning",
            "a finite loss",
            f"lower learning_rate (it was {config.learning_rate:g}), and check the data for NaN",
        )


def compile_like(model: tf_keras.Model, original: tf_keras.Model, config: FineTuningConfig) -> None:
    """Compiles `model` with the loss and the optimizer of `original`, so that the next stage finds them too.

    Raises:
      ConfigError: Neither the original nor the configuration has a loss.
    """
    model.compile(optimizer=_optimizer(original, config), loss=_loss(original, config))


def _optimizer(original: tf_keras.Model, config: FineTuningConfig) -> tf_keras.optimizers.Optimizer:
    compiled = getattr(original, "optimizer", None)
    if compiled is None:
        return tf_keras.optimizers.Adam(config.learning_rate)
    fresh = type(compiled).from_config(compiled.get_config())
    fresh.learning_rate = config.learning_rate
    return fresh


def _loss(original: tf_keras.Model, config: FineTuningConfig) -> object:
    loss = config.loss or getattr(original, "loss", None)
    if loss is None:
        raise ConfigError(
            "a model that was saved without a loss, and no loss in the configuration",
            "the name of a Keras loss",
            'compile the model before it is saved, or give loss="sparse_categorical_crossentropy" or the like',
        )
    if isinstance(loss, str):
        try:
            return tf_keras.losses.get(loss)
        except ValueError:
            raise ConfigError(
                f"loss={loss!r}", "the name of a Keras loss", "see https://keras.io/api/losses for the names"
            ) from None
    return loss
