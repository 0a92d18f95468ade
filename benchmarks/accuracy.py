"""What every technique costs and gains in accuracy, on real data, with the gate's verdict.

Five networks on four real data sets that ship inside packages (`benchmarks/data_sets.py` names source and licence),
each trained with three seeds. All files of a seed are candidates of one gate, which allows a drop of two points of
accuracy at a confidence of 95%; so the last column counts how many of the three seeds let the file pass. Pruning is
to 80% zeros, clustering to 16 values a kernel. "Smaller" compares gzip bytes with those of float32's file. Where a
technique does not fit a network, the reason stands in its row.
"""

import multiprocessing
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.board import Board, Column, Picture

_SEEDS = (1, 2, 3)
_QUICK = ("tabular",)
_MAX_DROP = 0.02
_LABEL = "label"


def run(board: Board) -> None:
    """Measures every network with every seed, each network in a process of its own."""
    from benchmarks.small_networks import NETWORKS

    names = _QUICK if board.quick else tuple(NETWORKS)
    seeds = _SEEDS[:1] if board.quick else _SEEDS
    found = {name: _measure_seeds(board, name, seeds) for name in names}
    table = board.table(
        f"Accuracy over {len(seeds)} seeds: mean, and from the worst to the best",
        "network",
        "data",
        "technique",
        Column("accuracy", ".4f"),
        "spread",
        Column("gzip bytes", ",.0f"),
        Column("smaller", ".1f"),
        "blessed",
    )
    points = []
    for name, by_seed in found.items():
        data = NETWORKS[name].data
        whole = statistics.mean(files["float32"]["gzip_bytes"] for files in by_seed)
        for technique in by_seed[0]:
            files = [one[technique] for one in by_seed]
            if any("refused" in file for file in files):
                table.row(name, data, f"{technique}: {files[0].get('refused', 'refused for a seed')}", *[None] * 5)
                continue
            accuracies = [file["accuracy"] for file in files]
            size = statistics.mean(file["gzip_bytes"] for file in files)
            passed = sum(file["verdict"] == "pass" for file in files)
            spread = f"{min(accuracies):.4f} to {max(accuracies):.4f}"
            mean = statistics.mean(accuracies)
            table.row(name, data, technique, mean, spread, size, whole / size, f"{passed} of {len(files)}")
            points.append((name, technique, size / 1e3, mean))
    for name, by_seed in found.items():
        sizes = [files["float32"]["gzip_bytes"] / files["int8"]["gzip_bytes"] for files in by_seed]
        board.ratio(f"{name}: gzip bytes of float32 / int8", statistics.mean(sizes), tolerance=0.1)
    board.picture(
        Picture(f"{board.name}", "Accuracy against bytes", "gzip kilobytes", "accuracy, mean of seeds", tuple(points))
    )


def _measure_seeds(board: Board, name: str, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [board.cell_in(pool, f"{name} {seed}", measure, name, seed, board.quick) for seed in seeds]


def measure(name: str, seed: int, quick: bool) -> dict[str, dict[str, Any]]:
    """Trains a network, makes every file of it, and lets one gate judge them all.

    Returns:
      By technique: accuracy, bytes and verdict, or why it was refused.
    """
    import tensorflow as tf
    import tf_keras

    from benchmarks.data import train_float
    from benchmarks.data_sets import DATA_SETS
    from benchmarks.small_networks import NETWORKS
    from slimline.errors import SlimlineError

    tf.get_logger().setLevel("ERROR")
    network = NETWORKS[name]
    task = DATA_SETS[network.data]()
    tf_keras.utils.set_random_seed(seed)
    model = train_float(network.build(), task, epochs=network.epochs)
    files: dict[str, bytes] = {}
    refused: dict[str, dict[str, Any]] = {}
    for technique, make in _techniques(model, task, quick=quick):
        try:
            files[technique] = make()
        except SlimlineError as error:
            refused[technique] = {"refused": error.found}
    return {**_judge(model, files, task), **refused}


def _techniques(model: Any, task: Any, *, quick: bool) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Gives the name of each technique and what makes its file."""
    from functools import cache, partial

    from slimline.core.optimization.clustering import cluster
    from slimline.core.optimization.clustering_config import ClusteringConfig
    from slimline.core.optimization.pruning import prune
    from slimline.core.optimization.pruning_config import PruningConfig
    from slimline.core.optimization.qat import train_quantization_aware
    from slimline.core.optimization.qat_config import QatConfig
    from slimline.core.quantization.configuration import QuantizationConfig
    from slimline.core.quantization.conversion import convert_quantization_aware, quantize

    pruning = PruningConfig(target_sparsity=0.8, epochs=20, learning_rate=1e-3)
    clustering = ClusteringConfig(num_clusters=16, epochs=6, learning_rate=3e-4)
    training = QatConfig(epochs=6, learning_rate=3e-4)

    def convert(made: Any, scheme: str) -> bytes:
        return quantize(made, QuantizationConfig(scheme=scheme), task.representative())

    def train(made: Any) -> bytes:
        trained = train_quantization_aware(made, task.dataset(), task.num_examples, training)
        return convert_quantization_aware(trained, task.representative())

    @cache
    def optimized(kind: str) -> Any:
        if kind == "both":
            return cluster(optimized("pruned"), task.dataset(), task.num_examples, clustering).model
        if kind == "pruned":
            return prune(model, task.dataset(), task.num_examples, pruning).model
        return cluster(model, task.dataset(), task.num_examples, clustering).model

    for scheme in ("float32", "float16", "dynamic_range", "int8", "int16x8"):
        yield scheme, partial(convert, model, scheme)
    yield "pruned, int8", lambda: convert(optimized("pruned"), "int8")
    if quick:
        return
    yield "clustered, int8", lambda: convert(optimized("clustered"), "int8")
    yield "pruned, clustered, int8", lambda: convert(optimized("both"), "int8")
    yield "QAT", lambda: train(model)
    yield "PQAT", lambda: train(optimized("pruned"))
    yield "CQAT", lambda: train(optimized("clustered"))
    yield "PCQAT", lambda: train(optimized("both"))


def _judge(model: Any, files: Mapping[str, bytes], task: Any) -> dict[str, dict[str, Any]]:
    """Lets the gate judge all files of a model at once, from files on the disk as a user has them."""
    from slimline.core.evaluation.gates import GateConfig, Threshold
    from slimline.core.evaluation.use_case import CandidateFile, ValidationRequest, validate_candidates
    from slimline.core.examples.configuration import ExamplesConfig

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "baseline.h5")
        examples = folder / "examples"
        schema = write_examples(examples, task)
        candidates = []
        for number, (technique, content) in enumerate(files.items()):
            path = folder / f"{number}.tflite"
            path.write_bytes(content)
            candidates.append(CandidateFile(technique, "", path))
        evaluation = validate_candidates(
            ValidationRequest(
                baseline=folder / "baseline.h5",
                candidates=candidates,
                files=(str(examples),),
                config=GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=_MAX_DROP),)),
                schema=schema,
                data=ExamplesConfig(label_key=_LABEL),
            )
        )
    return {
        report.name: {"refused": report.reasons[0]}
        if "accuracy" not in report.metrics
        else {
            "accuracy": report.metrics["accuracy"],
            "bytes": report.size_bytes,
            "gzip_bytes": report.gzip_bytes,
            "verdict": report.verdict,
            "confidence": report.confidence,
        }
        for report in evaluation.candidates
    }


def write_examples(path: Path, task: Any) -> Any:
    """Writes the evaluation part of a task as TFRecords, and returns their schema."""
    import tensorflow as tf
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    inputs, labels = task.evaluation
    with tf.io.TFRecordWriter(str(path)) as writer:
        for values, label in zip(inputs, labels, strict=True):
            features = {
                task.input_name: tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(values))),
                _LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    size = int(np.prod(inputs.shape[1:]))
    text = (
        f'feature {{ name: "{task.input_name}" type: FLOAT shape {{ dim {{ size: {size} }} }} }} '
        f'feature {{ name: "{_LABEL}" type: INT shape {{ dim {{ size: 1 }} }} }}'
    )
    return text_format.Parse(text, schema_pb2.Schema())
