"""The zeros that are wanted of each layer: how many, whether it can have them, and whether they are there at last."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import tensorflow as tf
import tf_keras

from slimline.core.internals.tfmot import is_pruned_m_by_n
from slimline.core.models.weights import count_kernels, is_depthwise, optimized_kernels, sparsity
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.rules import first_match
from slimline.errors import ConfigError, ModelError

# Of the target: below that, something went wrong.
_MIN_REACHED = 0.9


def layer_targets(
    model: tf_keras.Model, layers: Sequence[tf_keras.layers.Layer], config: PruningConfig
) -> Mapping[str, float]:
    """Returns the sparsity that each layer is to reach, by its name; 0 for those that a rule leaves."""
    if config.scope == "model":
        return _global_targets(model, layers, config.target)
    rules = {layer.name: first_match(config.rules, layer) for layer in layers}
    return {name: config.target if rule is None else rule.target_sparsity for name, rule in rules.items()}


def _global_targets(model: tf_keras.Model, layers: Sequence[tf_keras.layers.Layer], target: float) -> dict[str, float]:
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


def structure_unsupported_reason(layer: tf_keras.layers.Layer, config: PruningConfig) -> str | None:
    """Returns why a layer's kernels can't have zeros in the structure asked for, or None when they can."""
    shapes = [values.shape for _, values in optimized_kernels(layer)]
    if config.block_size is not None:
        if any(len(shape) != 2 for shape in shapes):
            return f"blocks are for matrices, and its kernel has the shape {shapes[0]}"
        # TFMOT drops a direction in which there is a single block, and then fails.
        if any(shape[0] <= config.block_size[0] or shape[1] <= config.block_size[1] for shape in shapes):
            return f"it takes two blocks in each direction, and its kernel has the shape {shapes[0]}"
    if config.structure == "m_by_n" and any(len(shape) not in (2, 4) for shape in shapes):
        return f"m_by_n is for kernels of 2 or 4 dimensions, and its kernel has the shape {shapes[0]}"
    return None


def require_reached(model: tf_keras.Model, targets: Mapping[str, float], config: PruningConfig) -> None:
    """Checks in the weights themselves that pruning took place; blocks and equal weights make the share a little less.

    Args:
      model: The pruned model, without wrappers.
      targets: Of each layer that was to be pruned.
      config: Block size and scope.

    Raises:
      ModelError: It did not take place, as when a user's training loop drops the callbacks.
    """
    counts = count_kernels(model)
    if config.m_by_n is not None:
        _require_m_by_n([model.get_layer(name) for name in targets], config.m_by_n)
        return
    # Half a block is lost to rounding, and those over the edge are smaller.
    tolerance = 1 if config.block_size is None else prod(config.block_size)
    short = [
        f"{count.kernel} has {count.num_zeros / count.num_weights:.3f} zeros, not {targets[count.layer]:.3f}"
        for count in counts
        if count.layer in targets
        and not is_depthwise(count.kernel)
        and count.num_zeros < _MIN_REACHED * targets[count.layer] * count.num_weights - tolerance
    ]
    if config.scope == "model" and sparsity(counts) < _MIN_REACHED * config.target:
        short.append(f"the whole model has {sparsity(counts):.3f} zeros, not {config.target:.3f}")
    if short:
        raise ModelError(
            "; ".join(short),
            "the zeros that were asked for",
            "hand on the callbacks in train_fn; prune before clustering, which leaves too many equal weights",
        )


def _require_m_by_n(layers: Sequence[tf_keras.layers.Layer], m_by_n: tuple[int, int]) -> None:
    for layer in layers:
        for name, values in optimized_kernels(layer):
            if not is_pruned_m_by_n(tf.constant(values), m_by_n):
                raise ModelError(
                    f"{name} without {m_by_n[0]} zeros in every {m_by_n[1]} weights",
                    "the zeros that were asked for",
                    "hand on the callbacks in train_fn",
                )
