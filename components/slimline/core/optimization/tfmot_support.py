"""Which layers TFMOT can prune, cluster, or train to be quantized, and why not the others.

TFMOT refuses a whole model for one layer that it does not know. Slimline asks it layer by layer, and leaves alone what
it does not know (docs/optimization.md).
"""

from collections.abc import Collection

import numpy as np
import tf_keras

from slimline.core.internals.keras2 import num_calls, num_consumers, producers
from slimline.core.internals.tfmot import ClusteringRegistry, Default8BitQuantizeRegistry, PruneRegistry
from slimline.core.models.weights import optimized_kernels
from slimline.core.optimization.clustering_config import MIN_CLUSTERS

_L = tf_keras.layers
_DEPTHWISE = (_L.DepthwiseConv1D, _L.DepthwiseConv2D)
# What a batch normalization can be folded into; TFMOT splits a SeparableConv2D so that it ends in a Conv2D.
_FOLDING = (_L.Conv2D, _L.DepthwiseConv2D, _L.Dense, _L.SeparableConv2D)
# The activations that TFMOT's QuantizeAwareActivation takes, inside of a layer; the last is one that TFMOT puts there.
_QAT_ACTIVATIONS = frozenset({"softmax", "sigmoid", "tanh", "gelu", "linear", "relu", "swish", "NoOpActivation"})
# The activations that its Default8BitActivationQuantizeConfig takes, as layers.
_QAT_ACTIVATION_LAYERS = frozenset({"relu", "swish", "gelu", "relu6", "linear", "softmax", "sigmoid", "tanh"})


def pruning_unsupported_reason(layer: tf_keras.layers.Layer) -> str | None:
    """Returns why a layer with kernels can't be pruned, or None when it can."""
    if isinstance(layer, _DEPTHWISE):
        return "depthwise kernels are few weights that each matter much: TFMOT leaves them"
    if hasattr(layer, "get_prunable_weights"):
        return None
    if not PruneRegistry.supports(layer):
        return f"TFMOT prunes no {type(layer).__name__}"
    return None


def clustering_unsupported_reason(layer: tf_keras.layers.Layer) -> str | None:
    """Returns why a layer with kernels can't be clustered, or None when it can."""
    if isinstance(layer, _DEPTHWISE):
        return "depthwise kernels lose too much when clustered: TFMOT leaves them"
    if not ClusteringRegistry.supports(layer) or not layer.trainable_weights:
        return f"TFMOT clusters no {type(layer).__name__}" if layer.trainable_weights else "it is frozen"
    fewest = num_clusterable(layer)
    if fewest < MIN_CLUSTERS:
        return f"it has only {fewest} different weights, where at least {MIN_CLUSTERS} clusters are needed"
    return None


def num_clusterable(layer: tf_keras.layers.Layer) -> int:
    """Returns how many clusters a layer can hold: as many as it has different weights."""
    return min((np.unique(values).size for _, values in optimized_kernels(layer)), default=0)


def qat_unsupported_reason(layer: tf_keras.layers.Layer, outputs: Collection[str] = ()) -> str | None:
    """Returns why a layer can't be trained to be quantized, or None when it can.

    Args:
      layer: A layer of a model that was rebuilt, so that its nodes are those of this model alone.
      outputs: Names of the layers that give the model's outputs.
    """
    kind = type(layer).__name__
    if num_calls(layer) > 1:
        return f"it is called {num_calls(layer)} times: TFMOT can't train a shared layer to be quantized"
    if isinstance(layer, _L.BatchNormalization):
        return _normalization_unsupported_reason(layer, outputs)
    if type(layer) is not _L.SeparableConv2D and not Default8BitQuantizeRegistry().supports(layer):
        return f"TFMOT trains no {kind} to be quantized"
    return activation_unsupported_reason(layer)


def activation_unsupported_reason(layer: tf_keras.layers.Layer) -> str | None:
    """Returns why a layer's activation can't be trained to be quantized, or None when it can or there is none."""
    activation = _activation_name(layer)
    known = _QAT_ACTIVATION_LAYERS if isinstance(layer, _L.Activation) else _QAT_ACTIVATIONS
    if activation is not None and activation not in known:
        return f"TFMOT trains no activation {activation!r} to be quantized"
    return None


def _activation_name(layer: tf_keras.layers.Layer) -> str | None:
    activation = getattr(layer, "activation", None)
    # An activation may be a function, or a layer such as LeakyReLU().
    return None if activation is None else getattr(activation, "__name__", type(activation).__name__)


def _normalization_unsupported_reason(layer: tf_keras.layers.Layer, outputs: Collection[str]) -> str | None:
    given = producers(layer)
    if len(given) != 1 or type(given[0]) not in _FOLDING:
        return "it does not follow a Conv2D, DepthwiseConv2D or Dense into which it could be folded"
    producer = given[0]
    if _activation_name(producer) != "linear":
        return "the layer that it follows has an activation of its own, so that it can't be folded into it"
    if producer.name in outputs or num_consumers(producer) > 1 or num_calls(producer) > 1:
        return "the layer that it follows feeds others too, so that it can't be folded into it"
    if qat_unsupported_reason(producer) is not None:
        return "the layer that it follows stays in float"
    return None
