"""What the collaborative kinds of quantization-aware training keep, in gzip bytes and accuracy.

Two networks for the digits, that of the pipeline and a residual one in the shape of ResNet-8, pruned to 80% and with 16
clusters. The ratio is that of gzip bytes to plain int8.
"""

from collections.abc import Callable

import tf_keras

from benchmarks.board import Board, Column, Table
from benchmarks.data import Task, digits, train_float
from benchmarks.small_networks import build_residual
from slimline.core.models.saving import gzip_size
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import convert_quantization_aware, quantize
from slimline_pipelines.digits.trainer import build_model

PRUNING = PruningConfig(target_sparsity=0.8, epochs=20, learning_rate=1e-3)
CLUSTERING = ClusteringConfig(num_clusters=16, epochs=6, learning_rate=3e-4)
QAT = QatConfig(epochs=6, learning_rate=3e-4)


def run(board: Board) -> None:
    """Writes a row per model and kind."""
    task = digits()
    table = board.table(
        "gzip bytes and accuracy on 450 examples",
        "model",
        "kind",
        Column("gzip bytes", ",.0f"),
        Column("against int8", ".2f"),
        Column("accuracy", ".4f"),
    )
    models: dict[str, Callable[[], tf_keras.Model]] = {"cnn": build_model, "residual": build_residual}
    for name, build in models.items():
        tf_keras.utils.set_random_seed(1)
        ratio = _write_model(table, name, train_float(build(), task, epochs=30), task)
        board.ratio(f"{name}: gzip bytes of PCQAT / int8", ratio, at_most=0.4)


def _write_model(table: Table, name: str, model: tf_keras.Model, task: Task) -> float:
    int8 = quantize(model, QuantizationConfig(scheme="int8"), task.representative())
    reference = gzip_size(int8)

    def show(kind: str, content: bytes) -> float:
        ratio = gzip_size(content) / reference
        table.row(name, kind, gzip_size(content), ratio, task.accuracy(content))
        return ratio

    def train(start: tf_keras.Model) -> bytes:
        return convert_quantization_aware(train_quantization_aware(start, task.dataset(), task.num_examples, QAT))

    show("float32", quantize(model, QuantizationConfig(scheme="float32")))
    show("int8", int8)
    show("QAT", train(model))
    pruned = prune(model, task.dataset(), task.num_examples, PRUNING).model
    show("pruned 80%, PQAT", train(pruned))
    show("16 clusters, CQAT", train(cluster(model, task.dataset(), task.num_examples, CLUSTERING).model))
    return show("80%, 16 clusters, PCQAT", train(cluster(pruned, task.dataset(), task.num_examples, CLUSTERING).model))
