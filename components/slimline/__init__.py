"""Slimline: TFX components that make a trained model small enough for a device, and prove that it is still good enough.

The map, from the inside out. Each room may use the ones before it, never the ones after:

    errors, names     a user's mistakes; the names of what is recorded in ML Metadata
    core              pruning, clustering, quantization, sampling, evaluation, gates: Keras, LiteRT and NumPy, no TFX
    transforms        the same at scale: Beam transforms over core
    report            the evaluation as one page for people
    artifacts, shell, progress, fine_tuning, beam_execution
                      from TFX's artifacts and parameters to core, and back; how far a component is
    pruner, clusterer, calibration_sampler, quantizer, edge_validator
                      one folder per component: `component.py` is its face, `executor.py` its work
    kubeflow          compiles a pipeline for Kubeflow Pipelines
    running           runs a pipeline in a process of its own and tells how far it is
    lineage           reads ML Metadata: where a file came from. Knows no TFX
    cli               the command line over all of it

`slimline_pipelines` holds complete pipelines made of these parts.

The names below are loaded when they are first used, so that `import slimline` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slimline.artifacts import CalibrationDataset, EdgeEvaluation
    from slimline.calibration_sampler.component import CalibrationSampler
    from slimline.clusterer.component import Clusterer
    from slimline.core.evaluation.gates import DeviceBudget, GateConfig, TargetRule, Threshold, WeightedGoal
    from slimline.core.evaluation.metrics import CustomMetric
    from slimline.core.evaluation.slices import SliceBy
    from slimline.core.examples.batches import ExamplesConfig
    from slimline.core.optimization.clustering import ClusteringConfig, ClusteringRule
    from slimline.core.optimization.pruning_config import PruningConfig, PruningRule
    from slimline.core.optimization.qat import QatConfig
    from slimline.core.quantization.advisor import Wishes
    from slimline.core.quantization.configuration import QuantizationConfig
    from slimline.core.quantization.selective import SelectiveConfig
    from slimline.core.sampling.rank import SamplingConfig, Strata
    from slimline.edge_validator.component import EdgeValidator
    from slimline.pruner.component import Pruner
    from slimline.quantizer.component import Quantizer

__version__ = "0.1.0"

_HOMES = {
    "CalibrationDataset": "slimline.artifacts",
    "CalibrationSampler": "slimline.calibration_sampler.component",
    "Clusterer": "slimline.clusterer.component",
    "ClusteringConfig": "slimline.core.optimization.clustering",
    "ClusteringRule": "slimline.core.optimization.clustering",
    "CustomMetric": "slimline.core.evaluation.metrics",
    "DeviceBudget": "slimline.core.evaluation.gates",
    "EdgeEvaluation": "slimline.artifacts",
    "EdgeValidator": "slimline.edge_validator.component",
    "ExamplesConfig": "slimline.core.examples.batches",
    "GateConfig": "slimline.core.evaluation.gates",
    "Pruner": "slimline.pruner.component",
    "PruningConfig": "slimline.core.optimization.pruning_config",
    "PruningRule": "slimline.core.optimization.pruning_config",
    "QatConfig": "slimline.core.optimization.qat",
    "QuantizationConfig": "slimline.core.quantization.configuration",
    "Quantizer": "slimline.quantizer.component",
    "SamplingConfig": "slimline.core.sampling.rank",
    "SelectiveConfig": "slimline.core.quantization.selective",
    "SliceBy": "slimline.core.evaluation.slices",
    "Strata": "slimline.core.sampling.rank",
    "TargetRule": "slimline.core.evaluation.gates",
    "Threshold": "slimline.core.evaluation.gates",
    "WeightedGoal": "slimline.core.evaluation.gates",
    "Wishes": "slimline.core.quantization.advisor",
}

__all__ = [
    "CalibrationDataset",
    "CalibrationSampler",
    "Clusterer",
    "ClusteringConfig",
    "ClusteringRule",
    "CustomMetric",
    "DeviceBudget",
    "EdgeEvaluation",
    "EdgeValidator",
    "ExamplesConfig",
    "GateConfig",
    "Pruner",
    "PruningConfig",
    "PruningRule",
    "QatConfig",
    "QuantizationConfig",
    "Quantizer",
    "SamplingConfig",
    "SelectiveConfig",
    "SliceBy",
    "Strata",
    "TargetRule",
    "Threshold",
    "WeightedGoal",
    "Wishes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slimline' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
