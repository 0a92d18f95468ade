"""Weight clustering: each kernel keeps a few distinct values, so that the file compresses well.

The method is weight sharing from Han, Mao and Dally, "Deep Compression" (2016), done by TFMOT, with its variant that
keeps the zeros of a pruned kernel.
"""

from typing import Literal

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from pydantic import Field
from tensorflow_model_optimization.python.core.clustering.keras import clustering_registry
from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster as sparse_clustering

from slimline.core.model_io import copy_model, require_layers
from slimline.core.training import FineTuningConfig, compile_like, fine_tune
from slimline.core.weights import OptimizedModel, describe, kernels
from slimline.errors import ModelError

_INITIALIZATIONS = {
    "kmeans++": tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    "density": tfmot.clustering.keras.CentroidInitialization.DENSITY_BASED,
    "linear": tfmot.clustering.keras.CentroidInitialization.LINEAR,
    "random": tfmot.clustering.keras.CentroidInitialization.RANDOM,
}
# TFMOT refuses fewer when it has to keep zeros: one centroid is the zero itself.
_MIN_CLUSTERS = 3


class ClusteringConfig(FineTuningConfig):
    """How many values each kernel may keep.

    Attributes:
      num_clusters: Distinct values per kernel, zero included. A kernel with fewer distinct weights gets as many
        clusters as it has.
      centroid_initialization: Where the values start.
      keep_zeros: Whether the zeros of a sparse kernel stay zeros.
    """

    num_clusters: int = Field(default=16, ge=_MIN_CLUSTERS)
    centroid_initialization: Literal["kmeans++", "density", "linear", "random"] = "kmeans++"
    keep_zeros: bool = True


def cluster(model: tf_keras.Model, dataset: tf.data.Dataset, config: ClusteringConfig) -> OptimizedModel:
    """Clusters the kernels of a copy of a trained model while fine-tuning it.

    Args:
      model: Functional or Sequential; it is not changed.
      dataset: Batches of (inputs, label).
      config: Number of clusters and fine-tuning.

    Raises:
      ModelError: No layer of the model can be clustered, or fine-tuning failed.
    """
    require_layers(model, model.name)
    tf_keras.utils.set_random_seed(config.seed)
    copy = copy_model(model)
    clusters = {layer.name: _num_clusters(layer, config) for layer in copy.layers if _is_clusterable(layer)}
    clustered_layers = {name for name, number in clusters.items() if number >= _MIN_CLUSTERS}
    if not clustered_layers:
        kinds = ", ".join(sorted({type(layer).__name__ for layer in model.layers}))
        raise ModelError(
            f"a model of {kinds}",
            f"at least one layer that TFMOT clusters, as Dense or Conv2D, with {_MIN_CLUSTERS} different weights",
            "leave out the Clusterer",
        )

    def wrap(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if layer.name not in clustered_layers:
            return layer
        return sparse_clustering.cluster_weights(
            layer,
            number_of_clusters=clusters[layer.name],
            cluster_centroids_init=_INITIALIZATIONS[config.centroid_initialization],
            preserve_sparsity=config.keep_zeros and _is_sparse(layer),
        )

    wrapped = tf_keras.models.clone_model(copy, clone_function=wrap)
    fine_tune(wrapped, model, dataset, config)
    clustered = tfmot.clustering.keras.strip_clustering(wrapped)
    compile_like(clustered, model, config)
    return describe(clustered, clustered_layers)


def _is_clusterable(layer: tf_keras.layers.Layer) -> bool:
    registry = clustering_registry.ClusteringRegistry
    if not registry.supports(layer) or isinstance(layer, tf_keras.layers.DepthwiseConv2D):
        return False
    return bool(registry.make_clusterable(layer).get_clusterable_weights())


def _num_clusters(layer: tf_keras.layers.Layer, config: ClusteringConfig) -> int:
    """Returns the clusters a layer can hold: k-means++ needs more different weights than centroids."""
    smallest = min((np.unique(values).size for _, values in kernels(layer)), default=0)
    return min(config.num_clusters, smallest)


def _is_sparse(layer: tf_keras.layers.Layer) -> bool:
    return any(np.count_nonzero(values) < values.size for _, values in kernels(layer))
