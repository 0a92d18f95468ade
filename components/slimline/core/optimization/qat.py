"""Quantization-aware training: the model learns with the rounding errors that its int8 file will have.

The method is that of Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (2018), done by TFMOT; so are its variants that keep zeros (PQAT), clusters (CQAT) or both (PCQAT).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from slimline.core.internals.keras2 import producers
from slimline.core.internals.tfmot import (
    Default8bitClusterPreserveQuantizeRegistry,
    Default8bitPrunePreserveQuantizeRegistry,
    Default8BitQuantizeRegistry,
    Default8BitQuantizeScheme,
    inputs_in_order,
    without_rounding,
)
from slimline.core.models.loading import as_tf_keras
from slimline.core.models.rebuilding import find_difference
from slimline.core.models.weights import count_layer
from slimline.core.optimization.preflight import Plan, plan
from slimline.core.optimization.qat_config import Collaboration, QatConfig
from slimline.core.optimization.techniques import Technique
from slimline.core.optimization.tfmot_support import activation_unsupported_reason
from slimline.core.optimization.training import Watch, fine_tune, num_steps
from slimline.core.optimization.weight_history import collaboration_of, freeze_gains
from slimline.errors import ConfigError, ModelError, near_miss

# Kernels of these layers are what TFMOT's collaborative schemes keep; it makes a Conv2D of a separable layer.
_L = tf_keras.layers
# Sums in another order.
_TOLERANCE = 1e-4
_COLLABORATIVE = (_L.Conv2D, _L.Dense, _L.SeparableConv1D, _L.SeparableConv2D)


@dataclass(frozen=True)
class QatModel:
    """A model with TFMOT's fake quantization in it, to be converted to int8.

    Attributes:
      model: Takes and gives the same as the original, in the same order; layer and output names differ.
      input_names: Of the original.
      output_names: Of the original.
      collaborations: What was kept of which kernel, by layer name.
      left: Why some layers stay in float until calibration, by layer name.
    """

    model: tf_keras.Model
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    collaborations: Mapping[str, Collaboration]
    left: Mapping[str, str]


def train_quantization_aware(
    model: tf_keras.Model,
    dataset: tf.data.Dataset,
    num_examples: int,
    config: QatConfig,
    *,
    watch: Watch | None = None,
) -> QatModel:
    """Trains a copy of a model with the rounding errors of int8.

    Layers that TFMOT can't train so stay as they are; the result says which and why.

    Args:
      model: Functional or Sequential, trained, perhaps pruned or clustered; it is not changed.
      dataset: Batches of (inputs, label), `config.batch_size` each.
      num_examples: Examples in one pass of `dataset`.
      config: What to keep, and fine-tuning.
      watch: Where to tell of the progress.

    Raises:
      ModelError: Something stands in the way of training this model (all of it is named), or training failed.
      ConfigError: A pattern matches no layer, or a batch is larger than the data.

    Example:
      >>> import tf_keras, tensorflow as tf
      >>> model = tf_keras.Sequential([tf_keras.layers.Dense(8, input_shape=(4,)), tf_keras.layers.Dense(1)])
      >>> model.compile("adam", "mse")
      >>> data = tf.data.Dataset.from_tensor_slices((tf.random.normal((64, 4)), tf.zeros((64, 1)))).batch(32)
      >>> trained = train_quantization_aware(model, data, 64, QatConfig(epochs=1))
      >>> sorted(trained.collaborations.values())
      ['plain', 'plain']
    """
    model = as_tf_keras(model)
    steps = num_steps(num_examples, config)
    tf_keras.utils.set_random_seed(config.seed)
    aware, planned = build_quantization_aware(model, config)
    covered = [planned.model.get_layer(name) for name in planned.covered]
    collaborations = {
        layer.name.removeprefix(planned.prefix): _collaboration(layer, config)
        for layer in covered
        if type(layer) in _COLLABORATIVE
    }
    with _expected_missing_gradients():
        fine_tune(aware, model, dataset, config, steps=steps, watch=watch)
    return QatModel(aware, tuple(model.input_names), tuple(model.output_names), collaborations, planned.left)


def build_quantization_aware(model: tf_keras.Model, config: QatConfig) -> tuple[tf_keras.Model, Plan]:
    """Puts TFMOT's fake quantization into a copy of a model, and makes sure that it still is the same network.

    TFMOT rewrites the model, and has made another one of some: so it is compared with the original, its rounding left
    out. A layer of which TFMOT makes another one is left in float.

    Args:
      model: Functional or Sequential; it is not changed.
      config: What to keep, and which layers to skip.

    Returns:
      The model to train, and what is done to which layer.

    Raises:
      ModelError: Something stands in the way of training this model, or TFMOT makes another network of it whatever is
        left out.
      ConfigError: A pattern matches no layer.
    """
    changed: dict[str, str] = {}
    while True:
        # A new copy each time: annotating connects its layers anew.
        planned = _leave(_without_skipped(plan(model, Technique.QAT), config), changed)
        aware = _apply(planned, config)
        with without_rounding():
            if find_difference(planned.model, aware, tolerance=_TOLERANCE) is None:
                return aware, planned
            culprit = _first_different(planned.model, aware)
        own_name = (culprit or "").removeprefix(planned.prefix)
        if culprit not in planned.covered:
            raise ModelError(
                f"model {model.name!r}, of which TFMOT makes another network{f' from {own_name} on' * bool(own_name)}",
                "the same outputs before any training, rounding apart",
                "quantize it after its training, without QAT, or replace the layer",
            )
        changed[own_name] = "TFMOT makes another layer of it"


def _apply(planned: Plan, config: QatConfig) -> tf_keras.Model:
    def annotate(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if layer.name not in planned.covered:
            return layer
        return tfmot.quantization.keras.quantize_annotate_layer(layer)

    # What is trained as it is would lose what an earlier technique made of it.
    freeze_gains(layer for layer in planned.model.layers if layer.name not in planned.covered)
    annotated = tf_keras.models.clone_model(planned.model, clone_function=annotate)
    with tfmot.quantization.keras.quantize_scope(), inputs_in_order():
        aware = tfmot.quantization.keras.quantize_apply(annotated, scheme=_PreservingScheme(config))
    for layer in aware.layers:
        inner = getattr(layer, "layer", layer)
        if isinstance(inner, tf_keras.layers.Normalization):
            # TFMOT makes it anew, and it computes with constants that it derives from its weights.
            inner.finalize_state()
    return aware


def _first_different(original: tf_keras.Model, aware: tf_keras.Model) -> str | None:
    """Returns the first layer of a model that computes something else in the other one; None when none is found."""
    names = {layer.name for layer in aware.layers}
    for layer in original.layers:
        counterpart = next((name for name in (f"quant_{layer.name}", layer.name) if name in names), None)
        if counterpart is None or len(layer.inbound_nodes) != 1 or isinstance(layer, tf_keras.layers.InputLayer):
            continue
        ours = tf_keras.Model(original.inputs, layer.output)
        theirs = tf_keras.Model(aware.inputs, aware.get_layer(counterpart).output)
        if find_difference(ours, theirs, tolerance=_TOLERANCE) is not None:
            return str(layer.name)
    return None


def _leave(planned: Plan, reasons: Mapping[str, str]) -> Plan:
    """Takes layers out of a plan, and normalizations that were to be folded into them."""
    covered = [name for name in planned.covered if name.removeprefix(planned.prefix) not in reasons]
    unfolded = [name for name in covered if _is_alone(planned.model.get_layer(name), covered)]
    left = {
        **planned.left,
        **reasons,
        **{name.removeprefix(planned.prefix): "the layer that it follows stays in float" for name in unfolded},
    }
    return replace(planned, covered=tuple(name for name in covered if name not in unfolded), left=left)


def _without_skipped(planned: Plan, config: QatConfig) -> Plan:
    """Takes the layers that the configuration skips out of a plan."""
    own_names = {name.removeprefix(planned.prefix): name for name in planned.covered}
    for pattern in config.skip_layers:
        if not any(fnmatchcase(name, pattern) for name in own_names):
            raise ConfigError(
                f"skip_layers with {pattern!r}, which matches no layer",
                f"a pattern for one of {', '.join(own_names)}",
                f"correct or remove it.{near_miss(pattern, own_names)}",
            )
    skipped = [name for name in own_names if any(fnmatchcase(name, pattern) for pattern in config.skip_layers)]
    return _leave(planned, dict.fromkeys(skipped, "skip_layers names it"))


def _is_alone(layer: tf_keras.layers.Layer, covered: Sequence[str]) -> bool:
    if not isinstance(layer, tf_keras.layers.BatchNormalization):
        return False
    return producers(layer)[0].name not in covered


def _collaboration(layer: tf_keras.layers.Layer, config: QatConfig) -> Collaboration:
    """Decides what the training of a layer keeps; kernels that TFMOT keeps nothing of are trained plainly."""
    if type(layer) not in _COLLABORATIVE:
        return "plain"
    if config.collaboration != "auto":
        return config.collaboration
    # A separable layer has two kernels, of which TFMOT keeps the pointwise one.
    return collaboration_of(count_layer(layer)[-1])


class _PreservingScheme(Default8BitQuantizeScheme):
    """TFMOT's 8-bit scheme, with the collaborative variant that suits each layer."""

    def __init__(self, config: QatConfig) -> None:
        super().__init__()
        self._config = config

    def get_quantize_registry(self) -> "_PreservingRegistry":
        return _PreservingRegistry(self._config)


class _PreservingRegistry(Default8BitQuantizeRegistry):
    """Chooses among TFMOT's registries layer by layer.

    Each layer gets a registry of its own: TFMOT's has one quantizer for all layers, and the first kernel without a zero
    switches the keeping of zeros off for all that follow.
    """

    def __init__(self, config: QatConfig) -> None:
        super().__init__()
        self._config = config

    def supports(self, layer: tf_keras.layers.Layer) -> bool:
        # TFMOT asks this of layers that are left, to quantize their outputs, and breaks off at an unknown activation.
        return super().supports(layer) and activation_unsupported_reason(layer) is None

    def get_quantize_config(self, layer: tf_keras.layers.Layer) -> Any:
        kind = _collaboration(layer, self._config)
        if kind == "pqat":
            return Default8bitPrunePreserveQuantizeRegistry().get_quantize_config(layer)
        if kind in ("cqat", "pcqat"):
            registry = Default8bitClusterPreserveQuantizeRegistry(preserve_sparsity=kind == "pcqat")
            return registry.get_quantize_config(layer)
        return super().get_quantize_config(layer)


@contextmanager
def _expected_missing_gradients() -> Iterator[None]:
    """Silences a warning that is no fault here: clustered kernels are computed from centroids, which have gradients."""

    def is_unexpected(record: logging.LogRecord) -> bool:
        return "Gradients do not exist for variables" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(is_unexpected)
    try:
        yield
    finally:
        logger.removeFilter(is_unexpected)
