"""Registries and schemes of TFMOT below its public names, seen in tensorflow-model-optimization 0.8.1.

The registries know which layers TFMOT takes; the schemes are the only way to choose how a layer is trained.
"""

from tensorflow_model_optimization.python.core.clustering.keras.clustering_registry import ClusteringRegistry
from tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster import cluster_weights
from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve.cluster_preserve_quantize_registry import (  # noqa: E501
    Default8bitClusterPreserveQuantizeRegistry,
)
from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve.prune_preserve_quantize_registry import (  # noqa: E501
    Default8bitPrunePreserveQuantizeRegistry,
)
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_registry import (
    Default8BitQuantizeRegistry,
)
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_scheme import (
    Default8BitQuantizeScheme,
)
from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_utils import is_pruned_m_by_n

__all__ = [
    "ClusteringRegistry",
    "Default8BitQuantizeRegistry",
    "Default8BitQuantizeScheme",
    "Default8bitClusterPreserveQuantizeRegistry",
    "Default8bitPrunePreserveQuantizeRegistry",
    "PruneRegistry",
    "cluster_weights",
    "is_pruned_m_by_n",
]
