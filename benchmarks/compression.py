"""How small the digits' network becomes, from float32 to pruned, clustered and trained for int8.

The network of the pipeline `digits` with that pipeline's own settings, measured on 450 examples. Deep Compression
(Han et al., 2016) reports 39 times on LeNet-5, in a format of its own that counts nothing but weights: relative
indices and Huffman codes. Here the whole file counts, as gzip sends it and LiteRT runs it, with the graph, the names
of its tensors and a scale for every channel. What is left is close to that: gzip finds the runs of zeros and the few
byte values, which Deep Compression's indices and codes store on purpose. Pruning gives most of it; clustering takes
another quarter off; training to be quantized adds little in bytes here, and keeps the accuracy where plain int8 would
lose some.
"""

import tf_keras

from benchmarks.board import Board, Column
from benchmarks.data import digits, train_float
from slimline.core.models.saving import gzip_size
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import convert_quantization_aware, quantize
from slimline.core.tflite.flatbuffer import weight_tensors
from slimline_pipelines.digits.recipe import CLUSTERING, PRUNING, QAT
from slimline_pipelines.digits.trainer import build_model


def run(board: Board) -> None:
    """Writes a row per stage."""
    task = digits()
    tf_keras.utils.set_random_seed(1)
    model = train_float(build_model(), task, epochs=40)
    reference = gzip_size(quantize(model, QuantizationConfig(scheme="float32")))
    table = board.table(
        f"{model.count_params():,} parameters, trained on {task.num_examples} examples. Smaller: gzip bytes of "
        "float32's file over those of the file.",
        "model",
        Column("bytes", ",.0f"),
        Column("gzip bytes", ",.0f"),
        Column("smaller", ".1f"),
        Column("accuracy", ".4f"),
        Column("zeros", ".0%"),
    )

    def show(name: str, content: bytes) -> float:
        weights = weight_tensors(content)
        zeros = sum(tensor.num_zeros for tensor in weights) / sum(tensor.num_weights for tensor in weights)
        size = gzip_size(content)
        table.row(name, len(content), size, reference / size, task.accuracy(content), zeros)
        return reference / size

    int8 = QuantizationConfig(scheme="int8")
    show("float32", quantize(model, QuantizationConfig(scheme="float32")))
    show("int8", quantize(model, int8, task.representative()))
    pruned = prune(model, task.dataset(), task.num_examples, PRUNING)
    show("pruned, int8", quantize(pruned.model, int8, task.representative()))
    clustered = cluster(pruned.model, task.dataset(), task.num_examples, CLUSTERING)
    show("pruned, clustered, int8", quantize(clustered.model, int8, task.representative()))
    trained = train_quantization_aware(clustered.model, task.dataset(), task.num_examples, QAT)
    smaller = show("pruned, clustered, PCQAT", convert_quantization_aware(trained))
    board.ratio("gzip bytes of float32 / pruned, clustered, PCQAT", smaller, at_least=35)
