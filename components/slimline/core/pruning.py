"""Magnitude pruning: the smallest weights become zero, step by step, while the others learn to do without them.

The method and its polynomial schedule are from Zhu and Gupta, "To prune, or not to prune" (2017), done by TFMOT.
"""

from typing import Literal

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from pydantic import Field, model_validator
from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

from slimline.core.model_io import copy_model, require_layers
from slimline.core.training import FineTuningConfig, compile_like, fine_tune, num_steps
from slimline.core.weights import OptimizedModel, describe
from slimline.errors import ModelError

# How often the masks are renewed on the way to the target. TFMOT's own default of every 100 steps is too seldom for
# small data: it may end before the target is reached.
_NUM_UPDATES = 20
_DEFAULT_RAMP = 0.75


class PruningConfig(FineTuningConfig):
    """How far and how fast to prune.

    Attributes:
      target_sparsity: Share of each layer's kernel that becomes zero, over 0 and under 1.
      schedule: `polynomial` raises the sparsity in a cubic curve from `initial_sparsity`; `constant` prunes to the
        target from the first step on.
      initial_sparsity: Where the polynomial schedule starts, under `target_sparsity`; 0 when left out.
      ramp: Share of the steps in which the polynomial schedule reaches the target, 0.75 when left out; in the rest the
        model recovers.
    """

    target_sparsity: float = Field(default=0.5, gt=0, lt=1)
    schedule: Literal["polynomial", "constant"] = "polynomial"
    initial_sparsity: float | None = Field(default=None, ge=0, lt=1)
    ramp: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _check_schedule(self) -> "PruningConfig":
        if self.schedule == "constant" and (self.initial_sparsity is not None or self.ramp is not None):
            raise ValueError("initial_sparsity and ramp belong to schedule='polynomial'; constant has neither")
        if self.initial_sparsity is not None and self.initial_sparsity >= self.target_sparsity:
            raise ValueError(f"initial_sparsity under target_sparsity, which is {self.target_sparsity}")
        return self


def prune(model: tf_keras.Model, dataset: tf.data.Dataset, num_examples: int, config: PruningConfig) -> OptimizedModel:
    """Prunes a copy of a trained model while fine-tuning it.

    Args:
      model: Functional or Sequential; it is not changed.
      dataset: Batches of (inputs, label), `config.batch_size` each.
      num_examples: Examples in one pass of `dataset`; the schedule follows from it.
      config: Target, schedule and fine-tuning.

    Raises:
      ModelError: No layer of the model can be pruned, or fine-tuning failed.
    """
    require_layers(model, model.name)
    tf_keras.utils.set_random_seed(config.seed)
    copy = copy_model(model)
    prunable = {layer.name for layer in copy.layers if _is_prunable(layer)}
    if not prunable:
        kinds = ", ".join(sorted({type(layer).__name__ for layer in model.layers}))
        raise ModelError(
            f"a model of {kinds}", "at least one layer that TFMOT prunes, as Dense or Conv2D", "leave out the Pruner"
        )
    schedule = _schedule(num_steps(num_examples, config), config)

    def wrap(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if layer.name not in prunable:
            return layer
        return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)

    wrapped = tf_keras.models.clone_model(copy, clone_function=wrap)
    fine_tune(wrapped, model, dataset, config, [tfmot.sparsity.keras.UpdatePruningStep()])
    pruned = tfmot.sparsity.keras.strip_pruning(wrapped)
    compile_like(pruned, model, config)
    return describe(pruned, prunable)


def _is_prunable(layer: tf_keras.layers.Layer) -> bool:
    if not prune_registry.PruneRegistry.supports(layer):
        return False
    return bool(prune_registry.PruneRegistry.make_prunable(layer).get_prunable_weights())


def _schedule(steps: int, config: PruningConfig) -> tfmot.sparsity.keras.PruningSchedule:
    if config.schedule == "constant" or steps == 1:
        return tfmot.sparsity.keras.ConstantSparsity(config.target_sparsity, begin_step=0, frequency=1)
    ramp_steps = max(1, round((steps - 1) * (_DEFAULT_RAMP if config.ramp is None else config.ramp)))
    frequency = max(1, ramp_steps // _NUM_UPDATES)
    return tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=config.initial_sparsity or 0.0,
        final_sparsity=config.target_sparsity,
        begin_step=0,
        # Masks are renewed at multiples of the frequency: the last of them must fall on the end, else the target is
        # never reached.
        end_step=ramp_steps // frequency * frequency,
        frequency=frequency,
    )
