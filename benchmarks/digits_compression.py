"""How small can the digits' network become? gzip bytes of float32 against prune + cluster + PCQAT int8.

Run: `.venv/bin/python -m benchmarks.digits_compression`.
"""

import time

import tf_keras

from benchmarks.data import digits, train_float
from slimline.core.models.saving import gzip_size
from slimline.core.models.weights import sparsity
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import convert_quantization_aware, quantize
from slimline.core.tflite.flatbuffer import weight_tensors
from slimline_pipelines.digits.recipe import CLUSTERING, PRUNING, QAT
from slimline_pipelines.digits.trainer import build_model


def main() -> None:
    """Prints a row per stage."""
    task = digits()
    tf_keras.utils.set_random_seed(1)
    model = train_float(build_model(), task, epochs=40)
    started = time.perf_counter()
    float32 = quantize(model, QuantizationConfig(scheme="float32"))
    reference = gzip_size(float32)
    print(
        f"{model.count_params():,} parameters, trained on {task.num_examples} examples, "
        f"measured on {len(task.evaluation[1])}"
    )
    print(f"{'model':28} {'bytes':>9} {'gzip':>9} {'smaller':>8} {'accuracy':>9}  sparsity")

    def show(name: str, content: bytes) -> None:
        zeros = weight_tensors(content)
        share = sum(tensor.num_zeros for tensor in zeros) / sum(tensor.num_weights for tensor in zeros)
        size = gzip_size(content)
        accuracy = task.accuracy(content)
        print(
            f"{name:28} {len(content):9,} {size:9,} {reference / size:7.1f}x {accuracy:9.4f}  {share:.3f}", flush=True
        )

    show("float32", float32)
    show("int8", quantize(model, QuantizationConfig(scheme="int8"), task.representative()))
    pruned = prune(model, task.dataset(), task.num_examples, PRUNING)
    show("pruned, int8", quantize(pruned.model, QuantizationConfig(scheme="int8"), task.representative()))
    clustered = cluster(pruned.model, task.dataset(), task.num_examples, CLUSTERING)
    show("pruned, clustered, int8", quantize(clustered.model, QuantizationConfig(scheme="int8"), task.representative()))
    trained = train_quantization_aware(clustered.model, task.dataset(), task.num_examples, QAT)
    show("pruned, clustered, PCQAT", convert_quantization_aware(trained))
    print(f"sparsity of the Keras model {sparsity(clustered.kernels):.3f}; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
