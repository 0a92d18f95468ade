"""What pruning, clustering and QAT cost beside TFMOT itself.

The same work, 20 epochs each, by `slimline.core` and by a script as in TFMOT's guides, in turns; the fastest of five
rounds counts, which is the one that least else disturbed.
"""

import time
from collections.abc import Callable

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from benchmarks.board import Board, Column
from benchmarks.data import BATCH_SIZE, Task, digits, train_float
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline_pipelines.digits.trainer import build_model

_EPOCHS = 20
_ROUNDS = 5
_RATE = 1e-4


def prune_plainly(model: tf_keras.Model, task: Task) -> tf_keras.Model:
    """Prunes as TFMOT's guide does: https://www.tensorflow.org/model_optimization/guide/pruning/pruning_with_keras."""
    steps = -(-task.num_examples // BATCH_SIZE) * _EPOCHS
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.75, 0, int(steps * 0.75), frequency=steps * 3 // 80)
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(_clone(model), pruning_schedule=schedule)
    _fit(wrapped, task, [tfmot.sparsity.keras.UpdatePruningStep()])
    return tfmot.sparsity.keras.strip_pruning(wrapped)


def cluster_plainly(model: tf_keras.Model, task: Task) -> tf_keras.Model:
    """Clusters as TFMOT's guide does."""
    wrapped = tfmot.clustering.keras.cluster_weights(
        _clone(model),
        number_of_clusters=16,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    )
    _fit(wrapped, task, [])
    return tfmot.clustering.keras.strip_clustering(wrapped)


def train_plainly(model: tf_keras.Model, task: Task) -> tf_keras.Model:
    """Trains quantization-aware as TFMOT's guide does."""
    aware = tfmot.quantization.keras.quantize_model(_clone(model))
    _fit(aware, task, [])
    return aware


def run(board: Board) -> None:
    """Writes a row per technique: seconds of both, and their ratio."""
    task = digits()
    model = train_float(build_model(), task, epochs=5)
    common = {"epochs": _EPOCHS, "learning_rate": _RATE, "batch_size": BATCH_SIZE}
    pruning = PruningConfig(target_sparsity=0.75, **common)
    clustering = ClusteringConfig(num_clusters=16, **common)
    training = QatConfig(collaboration="plain", **common)
    num = task.num_examples
    rows: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("pruning", lambda: prune(model, task.dataset(), num, pruning), lambda: prune_plainly(model, task)),
        ("clustering", lambda: cluster(model, task.dataset(), num, clustering), lambda: cluster_plainly(model, task)),
        (
            "QAT",
            lambda: train_quantization_aware(model, task.dataset(), num, training),
            lambda: train_plainly(model, task),
        ),
    ]
    table = board.table(
        f"{_EPOCHS} epochs of {num} examples, {model.count_params():,} parameters",
        "technique",
        Column("Slimline s", ".2f"),
        Column("TFMOT s", ".2f"),
        Column("ratio", ".2f"),
    )
    for name, ours, plain in rows:
        # Once each for warming up.
        times: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(_ROUNDS + 1):
            times["ours"].append(_seconds(ours))
            times["plain"].append(_seconds(plain))
        best = {key: min(values[1:]) for key, values in times.items()}
        ratio = best["ours"] / best["plain"]
        table.row(name, best["ours"], best["plain"], ratio)
        board.ratio(f"{name}: seconds of Slimline / TFMOT", ratio, at_most=1.1, tolerance=0.2)


def _seconds(work: Callable[[], object]) -> float:
    tf_keras.backend.clear_session()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _clone(model: tf_keras.Model) -> tf_keras.Model:
    clone = tf_keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def _fit(model: tf_keras.Model, task: Task, callbacks: list[tf_keras.callbacks.Callback]) -> None:
    model.compile(tf_keras.optimizers.Adam(_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    dataset: tf.data.Dataset = task.dataset()
    model.fit(dataset, epochs=_EPOCHS, callbacks=callbacks, verbose=0)
