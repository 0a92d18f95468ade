"""Magnitude pruning: the smallest weights become zero, step by step, while the others learn to do without them.

The method and its polynomial schedule are from Zhu and Gupta, "To prune, or not to prune" (2017), done by TFMOT.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from pydantic import Field, model_validator

from slimline.core.gains import freeze_gains
from slimline.core.preflight import plan
from slimline.core.rules import LayerRule, first_match, require_matches
from slimline.core.stages import OptimizedModel, StageConfig, Technique
from slimline.core.training import Watch, compile_like, fine_tune, num_steps
from slimline.core.weights import count_kernels, is_depthwise, optimized_kernels
from slimline.errors import ConfigError, ModelError

# How often the masks are renewed on the way to the target. TFMOT's own default of every 100 steps is too seldom for
# small data: it may end before the target is reached.
_NUM_UPDATES = 20
_DEFAULT_SPARSITY = 0.5
_DEFAULT_RAMP = 0.75
# Of the target: below that, something went wrong.
_MIN_REACHED = 0.9
_POOLING = {"average": "AVG", "max": "MAX"}


class PruningRule(LayerRule):
    """A target for some of the layers.

    Attributes:
      target_sparsity: As in `PruningConfig`; 0 leaves these layers as they are.
    """

    target_sparsity: float = Field(ge=0, lt=1)


class PruningConfig(StageConfig):
    """How far, how fast and in which structure to prune.

    Attributes:
      target_sparsity: Share of weights that become zero, over 0 and under 1; 0.5 when left out.
      scope: Whether each `layer` reaches the target, or the whole `model` does, which also has the kernels that can't
        be pruned: then the smallest weights of all layers together go ("global magnitude pruning", Han et al. 2015).
      rules: Other targets for some of the layers; the first rule that matches a layer counts.
      schedule: `polynomial` raises the sparsity in a cubic curve from `initial_sparsity`; `constant` prunes to the
        target from the first step on.
      initial_sparsity: Where the polynomial schedule starts, under every target; 0 when left out.
      ramp: Share of the steps in which the polynomial schedule reaches the target, 0.75 when left out; in the rest the
        model recovers.
      structure: `unstructured` zeros lie anywhere; `block` zeros lie in blocks of `block_size`, in matrices only;
        `m_by_n` means that in every n weights along the input channels at least m are zero.
      block_size: Rows and columns of a block.
      block_pooling: Whether a block counts by its `average` or its `max` magnitude; `average` when left out.
      m_by_n: (m, n), as (2, 4) which some hardware computes faster. The sparsity is m / n, from the first step on.
    """

    target_sparsity: float | None = Field(default=None, gt=0, lt=1)
    scope: Literal["layer", "model"] = "layer"
    rules: tuple[PruningRule, ...] = ()
    schedule: Literal["polynomial", "constant"] | None = None
    initial_sparsity: float | None = Field(default=None, ge=0, lt=1)
    ramp: float | None = Field(default=None, gt=0, le=1)
    structure: Literal["unstructured", "block", "m_by_n"] = "unstructured"
    block_size: tuple[int, int] | None = None
    block_pooling: Literal["average", "max"] | None = None
    m_by_n: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _check(self) -> "PruningConfig":
        _require(
            self.schedule != "constant" or (self.initial_sparsity is None and self.ramp is None),
            "initial_sparsity and ramp belong to schedule='polynomial'; constant has neither",
        )
        lowest = min([self.target, *(rule.target_sparsity for rule in self.rules if rule.target_sparsity)])
        _require(
            self.initial_sparsity is None or self.initial_sparsity < lowest,
            f"initial_sparsity under every target_sparsity, of which the lowest is {lowest}",
        )
        _require(
            (self.structure == "block") == (self.block_size is not None),
            "block_size with structure='block', and without it none",
        )
        _require(self.block_size is None or min(self.block_size) >= 1, "block_size of at least (1, 1)")
        _require(
            self.structure == "block" or self.block_pooling is None, "block_pooling belongs to structure='block' alone"
        )
        self._check_m_by_n()
        _require(not (self.scope == "model" and self.rules), "either rules or scope='model'")
        return self

    def _check_m_by_n(self) -> None:
        _require(
            (self.structure == "m_by_n") == (self.m_by_n is not None),
            "m_by_n with structure='m_by_n', and without it none",
        )
        if self.m_by_n is None:
            return
        _require(0 < self.m_by_n[0] < self.m_by_n[1], "m_by_n=(m, n) with m at least 1 and under n")
        _require(
            self.target_sparsity is None and self.schedule != "polynomial" and self.scope == "layer",
            "neither target_sparsity nor schedule='polynomial' nor scope='model': m_by_n gives the sparsity itself",
        )
        _require(
            all(rule.target_sparsity == 0 for rule in self.rules),
            "rules that leave layers out with target_sparsity=0: m_by_n gives the sparsity itself",
        )

    @property
    def target(self) -> float:
        """The sparsity to reach, from 0 to 1, as far as no rule says otherwise."""
        if self.m_by_n is not None:
            return self.m_by_n[0] / self.m_by_n[1]
        return _DEFAULT_SPARSITY if self.target_sparsity is None else self.target_sparsity


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
    steps = num_steps(num_examples, config)
    tf_keras.utils.set_random_seed(config.seed)
    planned = plan(model, Technique.PRUNING)
    layers = [planned.model.get_layer(name) for name in planned.covered]
    require_matches(config.rules, layers)
    targets = _targets(planned.model, layers, config)
    left = {layer.name: _structure_obstacle(layer, config) for layer in layers}
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
    callbacks = [tfmot.sparsity.keras.UpdatePruningStep()]
    fine_tune(wrapped, model, dataset, config, callbacks=callbacks, watch=watch)
    pruned = tfmot.sparsity.keras.strip_pruning(wrapped)
    for name in frozen:
        pruned.get_layer(name).trainable = True
    compile_like(pruned, model, config)
    _require_reached(pruned, {name: targets[name] for name in options})
    by_rule = {name: reason or "a rule leaves it" for name, reason in left.items() if name not in options}
    return OptimizedModel(Technique.PRUNING, pruned, count_kernels(pruned), {**planned.left, **by_rule})


def _require_reached(model: tf_keras.Model, targets: Mapping[str, float]) -> None:
    """Checks in the weights themselves that pruning took place; blocks and equal weights make the share a little less.

    Raises:
      ModelError: It did not, as when a user's training loop drops the callbacks.
    """
    short = [
        f"{count.kernel} has {count.num_zeros / count.num_weights:.3f} zeros, not {targets[count.layer]:.3f}"
        for count in count_kernels(model)
        if count.layer in targets
        and not is_depthwise(count.kernel)
        and count.num_zeros < _MIN_REACHED * targets[count.layer] * count.num_weights - 1
    ]
    if short:
        raise ModelError(
            "; ".join(short),
            "the zeros that were asked for",
            "hand on the callbacks in train_fn; prune before clustering, which leaves too many equal weights",
        )


def _targets(model: tf_keras.Model, layers: list[tf_keras.layers.Layer], config: PruningConfig) -> Mapping[str, float]:
    """Returns the target of each layer."""
    if config.scope == "model":
        return _global_targets(model, layers, config.target)
    rules = {layer.name: first_match(config.rules, layer) for layer in layers}
    return {name: config.target if rule is None else rule.target_sparsity for name, rule in rules.items()}


def _global_targets(model: tf_keras.Model, layers: list[tf_keras.layers.Layer], target: float) -> dict[str, float]:
    """Shares out the zeros that the whole model must have: the smallest weights go, in whichever layer they are."""
    magnitudes = {
        layer.name: np.abs(np.concatenate([values.ravel() for _, values in optimized_kernels(layer)]))
        for layer in layers
    }
    together = np.concatenate(list(magnitudes.values()))
    num_all = sum(count.num_weights for count in count_kernels(model))
    num_zeros = round(target * num_all)
    if num_zeros >= together.size:
        raise ConfigError(
            f"target_sparsity={target} of {num_all} weights, of which {together.size} can be pruned",
            f"under {together.size / num_all:.4f}",
            "lower target_sparsity, or aim at each layer with scope='layer'",
        )
    threshold = np.partition(together, num_zeros)[num_zeros]
    # No layer is emptied: a layer of zeros gives the same output for every input.
    return {name: min(float(np.mean(values < threshold)), 1 - 1 / values.size) for name, values in magnitudes.items()}


def _structure_obstacle(layer: tf_keras.layers.Layer, config: PruningConfig) -> str | None:
    """Returns why a layer's kernels can't have zeros in the structure asked for, or nothing when they can."""
    shapes = [values.shape for _, values in optimized_kernels(layer)]
    if config.structure == "block" and any(sum(size > 1 for size in shape) > 2 for shape in shapes):
        return f"blocks are for matrices, and its kernel has the shape {shapes[0]}"
    if config.structure == "m_by_n" and any(len(shape) not in (2, 4) for shape in shapes):
        return f"m_by_n is for kernels of 2 or 4 dimensions, and its kernel has the shape {shapes[0]}"
    return None


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


def _require(condition: bool, expected: str) -> None:
    if not condition:
        raise ValueError(expected)
