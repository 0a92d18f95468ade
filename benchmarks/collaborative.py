"""What do the collaborative kinds of quantization-aware training gain over plain int8? gzip bytes and accuracy.

Run: `.venv/bin/python -m benchmarks.collaborative`.
"""

from collections.abc import Callable
from typing import Any

import tf_keras

from benchmarks.data import Task, digits, train_float
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


def build_residual() -> tf_keras.Model:
    """Returns a residual network for the digits, in the shape of ResNet-8: three blocks, two of them with strides."""
    layers = tf_keras.layers
    image = layers.Input((8, 8, 1), name="image")
    hidden = _block(image, 16, 1, "stem")
    for number, (width, stride) in enumerate(((16, 1), (32, 2), (64, 2))):
        inner = _block(_block(hidden, width, stride, f"{number}a"), width, 1, f"{number}b", activation=False)
        if stride > 1:
            hidden = layers.Conv2D(width, 1, strides=stride, name=f"project_{number}")(hidden)
        hidden = layers.ReLU(name=f"out_{number}")(layers.Add(name=f"add_{number}")([inner, hidden]))
    hidden = layers.GlobalAveragePooling2D(name="pool")(hidden)
    model = tf_keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(hidden), name="residual")
    model.compile(tf_keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Prints a row per model and kind."""
    task = digits()
    print(f"{'model':10} {'kind':26} {'gzip':>8} {'against int8':>13} {'accuracy':>9}")
    models: dict[str, Callable[[], tf_keras.Model]] = {"cnn": build_model, "residual": build_residual}
    for name, build in models.items():
        tf_keras.utils.set_random_seed(1)
        _print_model(name, train_float(build(), task, epochs=30), task)


def _print_model(name: str, model: tf_keras.Model, task: Task) -> None:
    reference = 0

    def show(kind: str, content: bytes) -> None:
        nonlocal reference
        size = gzip_size(content)
        reference = size if kind == "int8" else reference
        ratio = f"{size / reference:13.2f}" if reference else " " * 13
        print(f"{name:10} {kind:26} {size:8,} {ratio} {task.accuracy(content):9.4f}", flush=True)

    def train(start: tf_keras.Model) -> bytes:
        return convert_quantization_aware(train_quantization_aware(start, task.dataset(), task.num_examples, QAT))

    show("float32", quantize(model, QuantizationConfig(scheme="float32")))
    show("int8", quantize(model, QuantizationConfig(scheme="int8"), task.representative()))
    show("QAT", train(model))
    pruned = prune(model, task.dataset(), task.num_examples, PRUNING).model
    show("pruned 80%, PQAT", train(pruned))
    show("16 clusters, CQAT", train(cluster(model, task.dataset(), task.num_examples, CLUSTERING).model))
    show("80%, 16 clusters, PCQAT", train(cluster(pruned, task.dataset(), task.num_examples, CLUSTERING).model))


def _block(tensor: Any, width: int, stride: int, name: str, *, activation: bool = True) -> Any:
    layers = tf_keras.layers
    tensor = layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False, name=f"conv_{name}")(tensor)
    tensor = layers.BatchNormalization(name=f"norm_{name}")(tensor)
    return layers.ReLU(name=f"relu_{name}")(tensor) if activation else tensor


if __name__ == "__main__":
    main()
