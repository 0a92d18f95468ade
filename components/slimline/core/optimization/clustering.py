"""Weight clustering: each kernel keeps a few distinct values, so that the file compresses well.

The method is weight sharing from Han, Mao and Dally, "Deep Compression" (2016), done by TFMOT, with its variant that
keeps the zeros of a pruned kernel.
"""

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from slimline.core.internals.tfmot import cluster_weights, without_clusters
from slimline.core.models.loading import as_tf_keras
from slimline.core.models.weights import count_kernels, optimized_kernels
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.core.optimization.preflight import plan
from slimline.core.optimization.rules import first_match, require_matches
from slimline.core.optimization.same_network import require_same_network
from slimline.core.optimization.techniques import OptimizedModel, Technique
from slimline.core.optimization.tfmot_support import num_clusterable
from slimline.core.optimization.training import Watch, compile_like, fine_tune, num_steps
from slimline.core.optimization.weight_history import freeze_gains
from slimline.errors import ConfigError

_INITIALIZATIONS = {
    "kmeans++": tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    "density": tfmot.clustering.keras.CentroidInitialization.DENSITY_BASED,
    "linear": tfmot.clustering.keras.CentroidInitialization.LINEAR,
    "random": tfmot.clustering.keras.CentroidInitialization.RANDOM,
}


def cluster(
    model: tf_keras.Model,
    dataset: tf.data.Dataset,
    num_examples: int,
    config: ClusteringConfig,
    *,
    watch: Watch | None = None,
) -> OptimizedModel:
    """Clusters the kernels of a copy of a trained model while fine-tuning it.

    Layers that can't be clustered stay as they are; the result says which and why.

    Args:
      model: Functional or Sequential; it is not changed.
      dataset: Batches of (inputs, label), `config.batch_size` each.
      num_examples: Examples in one pass of `dataset`.
      config: Number of clusters and fine-tuning.
      watch: Where to tell of the progress.

    Returns:
      A flat float32 model without TFMOT's wrappers, compiled like the one given.

    Raises:
      ModelError: Something stands in the way of clustering this model (all of it is named), or fine-tuning failed.
      ConfigError: A rule matches no layer, or a batch is larger than the data.

    Example:
      >>> import tf_keras, tensorflow as tf
      >>> model = tf_keras.Sequential([tf_keras.layers.Dense(8, input_shape=(4,)), tf_keras.layers.Dense(1)])
      >>> model.compile("adam", "mse")
      >>> data = tf.data.Dataset.from_tensor_slices((tf.random.normal((64, 4)), tf.zeros((64, 1)))).batch(32)
      >>> clustered = cluster(model, data, 64, ClusteringConfig(num_clusters=4))
      >>> [kernel.num_distinct <= 4 for kernel in clustered.kernels]
      [True, True]
    """
    model = as_tf_keras(model)
    steps = num_steps(num_examples, config)
    tf_keras.utils.set_random_seed(config.seed)
    planned = plan(model, Technique.CLUSTERING)
    layers = [planned.model.get_layer(name) for name in planned.covered]
    require_matches(config.rules, layers)
    clusters = {layer.name: number for layer in layers if (number := _num_clusters(layer, config)) is not None}
    if not clusters:
        raise ConfigError("rules that leave every layer as it is", "a layer to cluster", "leave out the clustering")

    def wrap(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if layer.name not in clusters:
            return layer
        return cluster_weights(
            layer,
            number_of_clusters=clusters[layer.name],
            cluster_centroids_init=_INITIALIZATIONS[config.centroid_initialization],
            preserve_sparsity=config.keep_zeros and _is_sparse(layer),
        )

    frozen = freeze_gains(layer for layer in planned.model.layers if layer.name not in clusters)
    wrapped = tf_keras.models.clone_model(planned.model, clone_function=wrap)
    with without_clusters():
        # The wrapped one is called first: that gives both back the weights which the wrappers had put aside.
        require_same_network(wrapped, planned.model, "wrapped for clustering")
    fine_tune(wrapped, model, dataset, config, steps=steps, watch=watch)
    clustered = tfmot.clustering.keras.strip_clustering(wrapped)
    require_same_network(wrapped, clustered, "taken out of TFMOT's wrappers")
    for name in frozen:
        clustered.get_layer(name).trainable = True
    compile_like(clustered, model, config)
    by_rule = {layer.name: "a rule leaves it" for layer in layers if layer.name not in clusters}
    return OptimizedModel(Technique.CLUSTERING, clustered, count_kernels(clustered), {**planned.left, **by_rule})


def _num_clusters(layer: tf_keras.layers.Layer, config: ClusteringConfig) -> int | None:
    """Returns the clusters for a layer, no more than it can hold: k-means++ takes its centroids from the weights."""
    rule = first_match(config.rules, layer)
    wanted = config.num_clusters if rule is None else rule.num_clusters
    return None if wanted is None else min(wanted, num_clusterable(layer))


def _is_sparse(layer: tf_keras.layers.Layer) -> bool:
    return any(np.count_nonzero(values) < values.size for _, values in optimized_kernels(layer))
