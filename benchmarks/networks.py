"""What every technique makes of the guide's networks, beside the figures of the guide.

The networks are those of the first table of TensorFlow Lite's guide to model optimization, built by
`keras.applications` without trained weights, since nothing is downloaded, and normalized on random images. So bytes,
gzip bytes, time, memory and what accelerators take are real, and accuracy is not claimed. Weights that were never
trained compress worse than trained ones, and pruned, clustered and quantization-aware networks take only two training
steps on random images: the structure is that of the technique, not the accuracy.

The guide's latencies were measured on a Pixel 2, with one big core of ARM; ours are one thread of the machine named
below. Where ratios differ: float32 runs on XNNPACK with wide vector units here; x86 gains less from int8 than ARM
does, whose dot product takes four 8-bit products an instruction; and the guide's quantization-aware files came from
an older converter. 16-bit activations run on LiteRT's reference kernels and are slower by one or two orders of
magnitude. TFLite Micro is left out: no microcontroller holds these networks, and `micro` is measured on small ones.

Milliseconds are those of a shared machine: where other work ran beside, single rows differ by a factor of two and
more from one run to the next, so that order and size of a difference count here, and not its second digit. Bytes and
what accelerators take do not depend on that.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.board import Board, Column, Picture
from slimline.core.schemes import Target

_TARGETS: tuple[Target, ...] = ("cpu", "gpu", "edgetpu", "hexagon", "ethos_u")
_NUM_EXAMPLES = 8
_BATCH = 4
_MIB = 2**20


@dataclass(frozen=True)
class Network:
    """A network of the guide's table.

    Attributes:
      application: Its name in `keras.applications`.
      options: That it is built with.
      guide_mb: The guide's megabytes of the float and the quantized file; None where it has none.
      guide_ms: The guide's milliseconds on a Pixel 2: float, quantized after training, quantization-aware.
    """

    application: str
    options: Mapping[str, Any]
    guide_mb: tuple[float, float] | None = None
    guide_ms: tuple[float, float, float | None] | None = None


NETWORKS = {
    "MobileNetV1 1.0 224": Network("MobileNet", {}, (16.9, 4.3), (124, 112, 64)),
    "MobileNetV2 1.0 224": Network("MobileNetV2", {}, (14, 3.6), (89, 98, 54)),
    "InceptionV3": Network("InceptionV3", {}, (95.7, 23.9), (1130, 845, 543)),
    "ResNet101V2": Network("ResNet101V2", {}, (178.3, 44.9), (3973, 2868, None)),
}
QUICK = {"MobileNetV1 0.25 96": Network("MobileNet", {"alpha": 0.25, "input_shape": (96, 96, 3), "classes": 10})}
TECHNIQUES = (
    "float32",
    "float16",
    "dynamic_range",
    "int8",
    "int16x8",
    "QAT int8",
    "pruned 50%, int8",
    "16 clusters, int8",
    "pruned 50%, 16 clusters, int8",
)
_QUICK_TECHNIQUES = ("float32", "float16", "dynamic_range", "int8", "pruned 50%, int8")


def run(board: Board) -> None:
    """Measures every technique on every network, each network in a process of its own."""
    networks = QUICK if board.quick else NETWORKS
    techniques = _QUICK_TECHNIQUES if board.quick else TECHNIQUES
    found = {name: _measure_all(board, name, techniques) for name in networks}
    _write_sizes(board, found)
    _write_targets(board, found)
    if not board.quick:
        _write_beside_guide(board, found)
    _draw(board, found)


def _measure_all(board: Board, name: str, techniques: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    # Memory that the training of one network took is not given back before its process ends.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return {
            technique: board.cell_in(pool, f"{name} {technique}", measure, name, technique) for technique in techniques
        }


def measure(name: str, technique: str) -> dict[str, Any]:
    """Makes a file and measures it.

    Args:
      name: Of the network.
      technique: One of `TECHNIQUES`.

    Returns:
      Bytes, milliseconds, and the share of the work that each target accelerates; or, where the technique does not
      fit the network, the reason under `refused`.
    """
    import tensorflow as tf

    from slimline.core.evaluation.gates import GateConfig, Threshold
    from slimline.core.evaluation.measurement import measure as measure_file
    from slimline.core.targets.judging import judge_target
    from slimline.errors import SlimlineError

    tf.get_logger().setLevel("ERROR")
    model = build(name)
    example = {model.input_names[0]: _images(model)[:1]}
    gate = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.5),), time_limit_s=900)
    try:
        content = make_file(model, technique)
        measured = measure_file(content, technique, example, gate)
    except SlimlineError as error:
        return {"refused": error.found}
    return {
        "bytes": len(content),
        "gzip_bytes": measured.gzip_bytes,
        "p50_ms": measured.latency.p50_ms,
        "p90_ms": measured.latency.p90_ms,
        "memory_bytes": measured.memory_bytes,
        "targets": {target: _coverage(judge_target(target, content)) for target in _TARGETS},
    }


def _coverage(report: Any) -> dict[str, Any]:
    return {
        "runs": report.runs,
        "accelerated_share": report.accelerated_share,
        "reason": "; ".join(report.reasons)[:300],
        "npu_latency_us": report.details.get("npu_latency_us"),
    }


def build(name: str) -> Any:
    """Builds a network with random weights, the same every time."""
    import tf_keras

    network = {**NETWORKS, **QUICK}[name]
    tf_keras.utils.set_random_seed(1)
    model = getattr(tf_keras.applications, network.application)(weights=None, **network.options)
    _normalize(model)
    model.compile(tf_keras.optimizers.SGD(1e-4), "sparse_categorical_crossentropy")
    return model


def _normalize(model: Any) -> None:
    """Gives batch normalization the statistics of random images: without any, signals vanish on the way through."""
    import tf_keras

    normalizations = [layer for layer in model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0
    model(_images(model), training=True)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum


def make_file(model: Any, technique: str) -> bytes:
    """Carries out a technique.

    Raises:
      ModelError: It does not fit the model.
    """
    from slimline.core.optimization.clustering import cluster
    from slimline.core.optimization.clustering_config import ClusteringConfig
    from slimline.core.optimization.pruning import prune
    from slimline.core.optimization.pruning_config import PruningConfig
    from slimline.core.optimization.qat import train_quantization_aware
    from slimline.core.optimization.qat_config import QatConfig
    from slimline.core.quantization.configuration import QuantizationConfig
    from slimline.core.quantization.conversion import convert_quantization_aware, quantize

    short: dict[str, Any] = {"epochs": 1, "batch_size": _BATCH, "learning_rate": 1e-6}
    if technique == "QAT int8":
        trained = train_quantization_aware(model, _dataset(model), _NUM_EXAMPLES, QatConfig(**short))
        config = QuantizationConfig(scheme="int8", training="qat", static_batch=True)
        return convert_quantization_aware(trained, _records(model), config)
    if technique.startswith("pruned"):
        model = prune(model, _dataset(model), _NUM_EXAMPLES, PruningConfig(target_sparsity=0.5, **short)).model
    if "clusters" in technique:
        model = cluster(model, _dataset(model), _NUM_EXAMPLES, ClusteringConfig(num_clusters=16, **short)).model
    scheme = technique.rpartition(", ")[2]
    # Accelerators take no open batch.
    return quantize(model, QuantizationConfig(scheme=scheme, static_batch=True), _records(model))


def _images(model: Any) -> np.ndarray:
    shape = (_NUM_EXAMPLES, *model.input_shape[1:])
    return np.random.default_rng(0).random(shape, np.float32) * 2 - 1


def _dataset(model: Any) -> Any:
    import tensorflow as tf

    labels = np.arange(_NUM_EXAMPLES) % model.output_shape[-1]
    inputs = {model.input_names[0]: _images(model)}
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(_BATCH)


def _records(model: Any) -> Callable[[], Iterator[Mapping[str, np.ndarray]]]:
    name, images = model.input_names[0], _images(model)
    return lambda: ({name: images[index : index + 1]} for index in range(_NUM_EXAMPLES))


def _write_sizes(board: Board, found: Mapping[str, Mapping[str, Any]]) -> None:
    table = board.table(
        "Bytes, time on one thread, and memory. A ratio is float32's figure over that of the file.",
        "network",
        "technique",
        Column("bytes", ",.0f"),
        Column("smaller", ".2f"),
        Column("gzip bytes", ",.0f"),
        Column("gzip smaller", ".2f"),
        Column("p50 ms", ".2f"),
        Column("p90 ms", ".2f"),
        Column("faster", ".2f"),
        Column("memory MiB", ".0f"),
    )
    for name, files in found.items():
        whole = files["float32"]
        for technique, file in files.items():
            if "refused" in file:
                table.row(name, f"{technique}: {file['refused']}", *[None] * 8)
                continue
            table.row(
                name,
                technique,
                file["bytes"],
                whole["bytes"] / file["bytes"],
                file["gzip_bytes"],
                whole["gzip_bytes"] / file["gzip_bytes"],
                file["p50_ms"],
                file["p90_ms"],
                whole["p50_ms"] / file["p50_ms"],
                file["memory_bytes"] / _MIB,
            )
    for name, files in found.items():
        for technique, goal in (("float16", 1.9), ("int8", 3.5)):
            smaller = files["float32"]["bytes"] / files[technique]["bytes"]
            # A small network's file is to a good part its graph.
            wish = None if board.quick else goal
            board.ratio(f"{name}: float32 bytes / {technique}", smaller, at_least=wish, tolerance=0.02)


def _write_targets(board: Board, found: Mapping[str, Mapping[str, Any]]) -> None:
    table = board.table(
        "Share of the multiply-accumulate operations that each target accelerates; a dash where the file does not run "
        "there. Ethos-U is an ethos-u55-128, with Vela's estimate of its time.",
        "network",
        "technique",
        *(Column(target, ".0%") for target in _TARGETS),
        Column("Ethos-U ms", ".1f"),
    )
    for name, files in found.items():
        for technique, file in files.items():
            if "refused" not in file:
                targets = file["targets"]
                shares = [targets[key]["accelerated_share"] if targets[key]["runs"] else None for key in _TARGETS]
                time_us = targets["ethos_u"]["npu_latency_us"]
                table.row(name, technique, *shares, time_us / 1e3 if time_us else None)


def _write_beside_guide(board: Board, found: Mapping[str, Mapping[str, Any]]) -> None:
    table = board.table(
        "Beside the guide: how many times smaller and faster than float32. The guide's quantized files are int8 with "
        "weights per channel; its sizes are those of the files, in megabytes.",
        "network",
        Column("guide: smaller", ".2f"),
        Column("int8: smaller", ".2f"),
        Column("guide: faster, after training", ".2f"),
        Column("int8: faster", ".2f"),
        Column("guide: faster, QAT", ".2f"),
        Column("QAT int8: faster", ".2f"),
    )
    for name, files in found.items():
        network, whole = NETWORKS[name], files["float32"]
        assert network.guide_mb is not None
        assert network.guide_ms is not None
        before, after, trained = network.guide_ms
        faster = [
            whole["p50_ms"] / files[key]["p50_ms"] if "refused" not in files[key] else None
            for key in ("int8", "QAT int8")
        ]
        smaller = whole["bytes"] / files["int8"]["bytes"]
        expected = network.guide_mb[0] / network.guide_mb[1]
        table.row(
            name,
            expected,
            smaller,
            before / after,
            faster[0],
            before / trained if trained else None,
            faster[1],
        )
        board.ratio(f"{name}: times smaller / the guide's", smaller / expected, at_least=0.9, tolerance=0.02)


def _draw(board: Board, found: Mapping[str, Mapping[str, Any]]) -> None:
    points = tuple(
        (name, technique, file["gzip_bytes"] / 1e6, file["p50_ms"])
        for name, files in found.items()
        for technique, file in files.items()
        if "refused" not in file and technique != "int16x8"
    )
    title = "Latency against bytes, without int16x8"
    board.picture(Picture(f"{board.name}-latency", title, "gzip megabytes", "p50 ms, one thread", points))
