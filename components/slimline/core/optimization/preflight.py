"""Tells before any work what a technique can do to a model: each layer it leaves, and all that rules it out, at once.

The components use the same function, so that `slimline inspect` and a pipeline never disagree.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import tf_keras

from slimline.core.internals.keras2 import is_functional
from slimline.core.models.loading import WAY_OUT, SavedModelGraph, TrainedModel
from slimline.core.models.rebuilding import rebuild
from slimline.core.models.weights import kernels, non_finite_variables
from slimline.core.optimization.techniques import Technique
from slimline.core.optimization.tfmot_support import (
    clustering_unsupported_reason,
    pruning_unsupported_reason,
    qat_unsupported_reason,
)
from slimline.errors import ModelError

# TFMOT makes layers with automatic names: those of a loaded model must not be among them.
_QAT_PREFIX = "qat_"

_UNSUPPORTED_REASONS: Mapping[Technique, Callable[[tf_keras.layers.Layer], str | None]] = {
    Technique.PRUNING: pruning_unsupported_reason,
    Technique.CLUSTERING: clustering_unsupported_reason,
    Technique.QAT: qat_unsupported_reason,
}


@dataclass(frozen=True)
class Plan:
    """What a technique will do to a model.

    Attributes:
      model: The rebuilt copy to work on.
      prefix: Stands before the names of the copy's layers.
      covered: Names of the copy's layers that the technique is applied to.
      left: Why the other layers stay as they are, by the name that they have in the given model.
    """

    model: tf_keras.Model
    prefix: str
    covered: tuple[str, ...]
    left: Mapping[str, str]


def plan(model: tf_keras.Model, technique: Technique) -> Plan:
    """Rebuilds a model for a technique and decides which layers it is applied to.

    Raises:
      ModelError: Something stands in the way; the message lists all of it.
    """
    blockers = find_blockers(model)
    if not blockers:
        planned = choose_layers(model, technique)
        if planned.covered:
            return planned
        blockers = (nothing_covered(planned, technique),)
    raise ModelError(
        f"model {model.name!r}, for {technique}: " + "; ".join(blockers),
        "a functional or Sequential model with layers that TFMOT knows, as Conv2D or Dense",
        f"mend what is named, or leave {technique} out. `slimline inspect MODEL` shows all techniques",
    )


def find_blockers(model: TrainedModel) -> tuple[str, ...]:
    """Returns everything about a model itself that rules out pruning, clustering and QAT."""
    if isinstance(model, SavedModelGraph):
        return (f"{model.reason}: {WAY_OUT}",)
    if not is_functional(model):
        return ("the model is subclassed: its layers are called by code that can't be taken apart",)
    broken = non_finite_variables(model)
    blockers = [text for layer in _all_layers(model) if (text := _layer_blocker(layer))]
    if broken:
        blockers.append(f"NaN or infinity in the weights {', '.join(broken)}")
    if not blockers:
        try:
            rebuild(model)
        except ModelError as error:
            blockers.append(error.found)
    return tuple(blockers)


def choose_layers(model: tf_keras.Model, technique: Technique) -> Plan:
    """Rebuilds a model and decides which layers a technique is applied to, perhaps to none."""
    prefix = _QAT_PREFIX if technique is Technique.QAT else ""
    copy = rebuild(model, prefix=prefix)
    # Decided for all layers before any is wrapped: wrapping adds connections to them.
    unsupported_reason = _UNSUPPORTED_REASONS[technique]
    if technique is Technique.QAT:
        unsupported_reason = partial(qat_unsupported_reason, outputs=copy.output_names)
    reasons = {layer.name: unsupported_reason(layer) for layer in copy.layers if _concerns(layer, technique)}
    left = {name.removeprefix(prefix): reason for name, reason in reasons.items() if reason is not None}
    return Plan(copy, prefix, tuple(name for name, reason in reasons.items() if reason is None), left)


def _concerns(layer: tf_keras.layers.Layer, technique: Technique) -> bool:
    """Returns whether there is anything for a technique to do: QAT is for all that computes, the others for kernels."""
    if technique is Technique.QAT:
        return not isinstance(layer, tf_keras.layers.InputLayer)
    return any(True for _ in kernels(layer))


def nothing_covered(planned: Plan, technique: Technique) -> str:
    """Says why a technique is applied to no layer at all."""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in planned.left.items())
    return f"no layer for {technique}" + (f" ({reasons})" if reasons else ", since none has a kernel")


def _layer_blocker(layer: tf_keras.layers.Layer) -> str | None:
    if isinstance(layer, tf_keras.layers.Lambda):
        return f"{layer.name} is a Lambda layer, whose code can't be copied: make it a layer of its own class"
    try:
        layer.get_config()
    except NotImplementedError:
        return f"{layer.name} is a {type(layer).__name__} without get_config, so that it can't be copied"
    return None


def _all_layers(model: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the layers of a model and of those nested in it."""
    return [
        inner
        for layer in model.layers
        for inner in (_all_layers(layer) if isinstance(layer, tf_keras.Model) else [layer])
    ]
