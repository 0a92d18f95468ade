"""Tells everything that can be done to a model, technique by technique: what `slimline inspect` shows."""

from dataclasses import asdict, dataclass
from typing import Any

import tf_keras

from slimline.core.models.loading import SavedModelGraph, TrainedModel, as_tf_keras
from slimline.core.models.weights import optimized_kernels
from slimline.core.optimization.preflight import choose_layers, find_blockers, nothing_covered
from slimline.core.optimization.qat import build_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.techniques import Technique
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.errors import ModelError

PTQ = "ptq"


@dataclass(frozen=True)
class LayerLeft:
    """A layer that stays as it is.

    Attributes:
      name: Of the layer.
      type: Its class.
      num_parameters: Of the layer.
      reason: Why.
    """

    name: str
    type: str
    num_parameters: int
    reason: str


@dataclass(frozen=True)
class Finding:
    """What one technique can do to a model.

    Attributes:
      technique: `pruning`, `clustering`, `qat` or `ptq`.
      verdict: `applies`, `partly` (some layers stay as they are), or `refused`.
      covered_share: Share of the model's parameters that the technique acts on, from 0 to 1.
      left: Layers that stay as they are.
      blockers: Why it is refused.
    """

    technique: str
    verdict: str
    covered_share: float
    left: tuple[LayerLeft, ...]
    blockers: tuple[str, ...]


@dataclass(frozen=True)
class Preflight:
    """All that can be told of a model before any work.

    Attributes:
      name: The model's name.
      kind: `functional`, `Sequential` or `graph` (a SavedModel without layers).
      num_parameters: Of the model; 0 for a graph, whose parameters are not known.
      findings: One per technique.
    """

    name: str
    kind: str
    num_parameters: int
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON-ready values."""
        return asdict(self)


def inspect_model(model: TrainedModel) -> Preflight:
    """Tells for each technique what it can do to a model; changes nothing and raises nothing.

    Example:
      >>> model = tf_keras.Sequential([tf_keras.layers.Rescaling(0.5, input_shape=(4,)), tf_keras.layers.Dense(1)])
      >>> {finding.technique: finding.verdict for finding in inspect_model(model).findings}
      {'pruning': 'applies', 'clustering': 'applies', 'qat': 'partly', 'ptq': 'applies'}
    """
    model = as_tf_keras(model)
    blockers = find_blockers(model)
    findings = (*(_inspect(model, technique, blockers) for technique in Technique), _inspect_conversion(model))
    if isinstance(model, SavedModelGraph):
        return Preflight(model.name, "graph", 0, findings)
    kind = "Sequential" if isinstance(model, tf_keras.Sequential) else "functional"
    return Preflight(model.name, kind, model.count_params(), findings)


def _inspect(model: TrainedModel, technique: Technique, blockers: tuple[str, ...]) -> Finding:
    if blockers or isinstance(model, SavedModelGraph):
        return Finding(str(technique), "refused", 0.0, (), blockers)
    planned = choose_layers(model, technique)
    if not planned.covered:
        return Finding(str(technique), "refused", 0.0, (), (nothing_covered(planned, technique),))
    if technique is Technique.QAT:
        # Only what TFMOT makes of the model shows whether it still is the same network.
        try:
            _, planned = build_quantization_aware(model, QatConfig())
        except ModelError as error:
            return Finding(str(technique), "refused", 0.0, (), (error.found,))
    layers = {layer.name.removeprefix(planned.prefix): layer for layer in planned.model.layers}
    left = tuple(
        LayerLeft(name, type(layers[name]).__name__, layers[name].count_params(), reason)
        for name, reason in planned.left.items()
    )
    covered = [planned.model.get_layer(name) for name in planned.covered]
    share = sum(_num_covered(layer, technique) for layer in covered) / max(1, model.count_params())
    return Finding(str(technique), "partly" if left else "applies", share, left, ())


def _inspect_conversion(model: TrainedModel) -> Finding:
    """Converts the model without quantizing it, which shows whether TFLite has all of its operations."""
    try:
        quantize(model, QuantizationConfig(scheme="float32"))
    except ModelError as error:
        return Finding(PTQ, "refused", 0.0, (), (error.found,))
    return Finding(PTQ, "applies", 1.0, (), ())


def _num_covered(layer: tf_keras.layers.Layer, technique: Technique) -> int:
    if technique is Technique.QAT:
        return int(layer.count_params())
    return sum(values.size for _, values in optimized_kernels(layer))
