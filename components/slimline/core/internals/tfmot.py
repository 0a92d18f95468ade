"""Registries and schemes of TFMOT below its public names, seen in tensorflow-model-optimization 0.8.1.

The registries know which layers TFMOT takes; the schemes are the only way to choose how a layer is trained.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tensorflow_model_optimization.python.core.clustering.keras.cluster_wrapper import ClusterWeights
from tensorflow_model_optimization.python.core.clustering.keras.clustering_registry import ClusteringRegistry
from tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster import cluster_weights
from tensorflow_model_optimization.python.core.quantization.keras import quant_ops
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
from tensorflow_model_optimization.python.core.quantization.keras.graph_transformations.model_transformer import (
    ModelTransformer,
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
    "inputs_in_order",
    "is_pruned_m_by_n",
    "without_clusters",
    "without_rounding",
]


@contextmanager
def inputs_in_order() -> Iterator[None]:
    """Keeps the order of a layer's inputs while TFMOT rewrites a model.

    It collects the inputs of what a pattern matches in the order in which they stand in the model, not in that in which
    they are connected, and connects them so: a Concatenate then gets them in another order.
    """

    def in_order(self: Any, names: Sequence[str]) -> list[Any]:
        by_name = {layer["config"]["name"]: layer for layer in self._config["layers"]}
        return [by_name[name] for name in dict.fromkeys(names) if name in by_name]

    original = ModelTransformer._get_layers
    ModelTransformer._get_layers = in_order
    try:
        yield
    finally:
        ModelTransformer._get_layers = original


@contextmanager
def without_rounding() -> Iterator[None]:
    """Lets the quantizers of a quantization-aware model pass on what they get: what is left is the network itself."""

    def pass_on(inputs: Any, *_: Any, **__: Any) -> Any:
        return inputs

    original = quant_ops._FakeQuantWithMinMaxVars
    quant_ops._FakeQuantWithMinMaxVars = pass_on
    try:
        yield
    finally:
        quant_ops._FakeQuantWithMinMaxVars = original


@contextmanager
def without_clusters() -> Iterator[None]:
    """Lets the wrappers of a clustered model compute with the weights that they were given, not with centroids."""

    def take_originals(self: Any) -> None:
        for name, weight in self.original_clusterable_weights.items():
            self.set_weight_to_layer(name, weight)

    original = ClusterWeights.update_clustered_weights_associations
    ClusterWeights.update_clustered_weights_associations = take_originals
    try:
        yield
    finally:
        ClusterWeights.update_clustered_weights_associations = original
