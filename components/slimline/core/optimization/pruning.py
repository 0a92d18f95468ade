"""Magnitude pruning: the smallest weights become zero, step by step, while the others learn to do without them.

The method and its polynomial schedule are from Zhu and Gupta, "To prune, or not to prune" (2017), done by TFMOT.
"""

from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from slimline.core.models.loading import as_tf_keras
from slimline.core.models.weights import count_kernels
from slimline.core.optimization.preflight import plan
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.pruning_targets import layer_targets, require_reached, structure_unsupported_reason
from slimline.core.optimization.rules import require_matches
from slimline.core.optimization.same_network import require_same_network
from slimline.core.optimization.techniques import OptimizedModel, Technique
from slimline.core.optimization.training import Watch, compile_like, fine_tune, num_steps
from slimline.core.optimization.weight_history import freeze_gains
from slimline.errors import ConfigError, ModelError

# How often the masks are renewed on the way to the target. TFMOT's own default of every 100 steps is too seldom for
# small data: it may end before the target is reached.
_NUM_UPDATES = 20
_DEFAULT_RAMP = 0.75
_POOLING = {"average": "AVG", "max": "MAX"}


def prune(
    model: tf_keras.Model,
    dataset: tf.data.Dataset,
    num_examples: int,
    config: PruningConfig,
    *,
    watch: Watch | None = None,
) -> OptimizedModel:
    """Prunes a copy of a trained model while fine-tuning it.

    Layers that can't be pruned stay as they are; the result says which and why.

    Args:
      model: Functional or Sequential; it is not changed.
      dataset: Batches of (inputs, label), `config.batch_size` each.
      num_examples: Examples in one pass of `dataset`; the schedule follows from it.
      config: Target, schedule and fine-tuning.
      watch: Where to tell of the progress.

    Returns:
      A flat float32 model without TFMOT's wrappers, compiled like the one given.

    Raises:
      ModelError: Something stands in the way of pruning this model (all of it is named), or fine-tuning failed.
      ConfigError: A rule matches no layer, or a batch is larger than the data.

    Example:
      >>> import tf_keras, tensorflow as tf
      >>> model = tf_keras.Sequential([tf_keras.layers.Dense(8, input_shape=(4,)), tf_keras.layers.Dense(1)])
      >>> model.compile("adam", "mse")
      >>> data = tf.data.Dataset.from_tensor_slices((tf.random.normal((64, 4)), tf.zeros((64, 1)))).batch(32)
      >>> pruned = prune(model, data, 64, PruningConfig(target_sparsity=0.75))
      >>> [kernel.num_zeros / kernel.num_weights for kernel in pruned.kernels]
      [0.75, 0.75]
    """
    model = as_tf_keras(model)
    steps = num_steps(num_examples, config)
    tf_keras.utils.set_random_seed(config.seed)
    planned = plan(model, Technique.PRUNING)
    layers = [planned.model.get_layer(name) for name in planned.covered]
    require_matches(config.rules, layers)
    targets = layer_targets(planned.model, layers, config)
    left = {layer.name: structure_unsupported_reason(layer, config) for layer in layers}
    options = {name: _options(target, steps, config) for name, target in targets.items() if target and not left[name]}
    if not options:
        raise ConfigError(
            "a configuration that prunes none of " + ", ".join(f"{name} ({left[name] or 'target 0'})" for name in left),
            "at least one layer to prune",
            "choose another structure, or raise a target_sparsity",
        )

    def wrap(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if layer.name not in options:
            return layer
        return tfmot.sparsity.keras.prune_low_magnitude(layer, **options[layer.name])

    frozen = freeze_gains(layer for layer in planned.model.layers if layer.name not in options)
    wrapped = tf_keras.models.clone_model(planned.model, clone_function=wrap)
    require_same_network(planned.model, wrapped, "wrapped for pruning")
    _fine_tune(wrapped, model, dataset, config, steps, watch)
    pruned = tfmot.sparsity.keras.strip_pruning(wrapped)
    require_same_network(wrapped, pruned, "taken out of TFMOT's wrappers")
    for name in frozen:
        pruned.get_layer(name).trainable = True
    compile_like(pruned, model, config)
    require_reached(pruned, {name: targets[name] for name in options}, config)
    by_rule = {name: reason or "a rule leaves it" for name, reason in left.items() if name not in options}
    return OptimizedModel(Technique.PRUNING, pruned, count_kernels(pruned), {**planned.left, **by_rule})


def _fine_tune(
    wrapped: tf_keras.Model,
    model: tf_keras.Model,
    dataset: tf.data.Dataset,
    config: PruningConfig,
    steps: int,
    watch: Watch | None,
) -> None:
    """Trains while pruning; TFMOT prunes in its callback and asserts that it is there."""
    callbacks = [tfmot.sparsity.keras.UpdatePruningStep()]
    try:
        fine_tune(wrapped, model, dataset, config, steps=steps, callbacks=callbacks, watch=watch)
    except tf.errors.InvalidArgumentError as error:
        if config.train_fn is None or "UpdatePruningStep" not in str(error):
            raise
        raise ModelError(
            f"train_fn={config.train_fn!r}, which trains without the callbacks that it is given",
            "the callbacks handed on: pruning happens in them",
            "write model.fit(…, callbacks=callbacks) in train_fn",
        ) from error


def _options(target: float, steps: int, config: PruningConfig) -> dict[str, Any]:
    options: dict[str, Any] = {"pruning_schedule": _schedule(target, steps, config)}
    if config.block_size is not None:
        options["block_size"] = config.block_size
        options["block_pooling_type"] = _POOLING[config.block_pooling or "average"]
    if config.m_by_n is not None:
        options["sparsity_m_by_n"] = config.m_by_n
    return options


def _schedule(target: float, steps: int, config: PruningConfig) -> tfmot.sparsity.keras.PruningSchedule:
    if config.schedule == "constant" or config.m_by_n is not None or steps == 1:
        return tfmot.sparsity.keras.ConstantSparsity(target, begin_step=0, frequency=1)
    ramp_steps = max(1, round((steps - 1) * (_DEFAULT_RAMP if config.ramp is None else config.ramp)))
    frequency = max(1, ramp_steps // _NUM_UPDATES)
    return tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=config.initial_sparsity or 0.0,
        final_sparsity=target,
        begin_step=0,
        # Masks are renewed at multiples of the frequency: the last of them must fall on the end, else the target is
        # never reached.
        end_step=ramp_steps // frequency * frequency,
        frequency=frequency,
    )
