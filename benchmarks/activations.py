"""Networks whose activations 8 bits break, and what 16 bits or a few operations in float make of them.

The guide shows it with DeepSpeech (6.13% word errors in float, 43.67% with int8, 6.52% with 16-bit activations) and
MobileBERT (F1 88.81, 2.08, 88.73), whose weights can't be had here. So this is the same in kind: an LSTM and a
transformer's encoder that tell nine speakers by a vowel, each with a few input channels that are much larger than the
others, as features without normalization are; and a separable network for digits whose first layer has four channels
3,000 times larger than the rest, the same function as without. Selective keeps in float32 what it needs for an
agreement of 99% with the float original.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks.board import Board, Column

_SCHEMES = ("float32", "int8", "int16x8")
# Two of the twelve cepstra come in another unit, as raw sensors do.
_WIDE_CHANNELS = (0, 5)
_WIDE_FACTOR = 300.0
# Factor on the channels that are made large, as a network without normalization may have them.
_WIDE_ACTIVATIONS = 3_000.0
GUIDE = (
    ("DeepSpeech (guide)", "100% - word errors", 93.87, 56.33, 93.48),
    ("MobileBERT (guide)", "F1", 88.81, 2.08, 88.73),
)
_NETWORKS = ("recurrent", "transformer", "wide activation")


def run(board: Board) -> None:
    """Measures each network in a process of its own."""
    table = board.table(
        "What is left of the metric, in points of 100",
        "network",
        "metric",
        Column("float", ".2f"),
        Column("int8", ".2f"),
        Column("int16x8", ".2f"),
        Column("selective int8", ".2f"),
        "kept in float",
        Column("selective: share of float's bytes", ".1%"),
        "remark",
    )
    for row in GUIDE:
        table.row(*row, None, None, None, "")
    for name in _NETWORKS[2:] if board.quick else _NETWORKS:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = board.cell_in(pool, name, measure, name)
        values = [100 * found[scheme] for scheme in _SCHEMES]
        table.row(name, "accuracy", *values, 100 * found["selective"], found["kept"], found["share"], _remark(found))
        board.ratio(f"{name}: int16x8's accuracy / float's", found["int16x8"] / found["float32"], at_least=0.98)
        board.ratio(f"{name}: selective's accuracy / float's", found["selective"] / found["float32"], at_least=0.98)


def _remark(found: dict[str, Any]) -> str:
    return f"{found['backends']}the converter's file ends LiteRT" if found["backends"] else ""


def measure(name: str) -> dict[str, Any]:
    """Trains a network and converts it by every scheme.

    Returns:
      Accuracy by scheme, how many operations selective kept of how many, and its share of float's bytes.
    """
    import tensorflow as tf

    from slimline.core.isolation import IsolatedError, run_isolated
    from slimline.core.quantization.configuration import QuantizationConfig
    from slimline.core.quantization.conversion import quantize
    from slimline.core.quantization.production import produce
    from slimline.core.quantization.selective_config import SelectiveConfig

    tf.get_logger().setLevel("ERROR")
    model, task = _BUILDERS[name]()
    found: dict[str, Any] = {}
    for scheme in _SCHEMES:
        for backend in ("converter", "litert-quantizer"):
            made = quantize(model, QuantizationConfig(scheme=scheme, backend=backend), task.representative())
            try:
                found[scheme] = run_isolated(_accuracy, made, *task.evaluation, time_limit_s=600)
            except IsolatedError:
                continue
            found["backends"] = found.get("backends", "") + (
                f"{scheme} by {backend}; " if backend != "converter" else ""
            )
            break
    # Integers at the input would lose the small channels before the first operation.
    selective = SelectiveConfig(min_agreement=0.99)
    config = QuantizationConfig(scheme="int8", selective=selective, input_type="float32", output_type="float32")
    product = produce(model, config, task.representative())
    assert product.selection is not None
    kept = product.selection.best.kept
    return {
        **found,
        "selective": task.accuracy(product.content),
        "kept": f"{len(kept)} after {len(product.selection.attempts)} conversions",
        "share": len(product.content) / len(product.float_content),
    }


def _accuracy(content: bytes, inputs: np.ndarray, labels: np.ndarray) -> float:
    """Returns the accuracy of a file; called in a process of its own, since some files end LiteRT."""
    from benchmarks.data import Task

    return Task((inputs, labels), (inputs, labels), "").accuracy(content)


def _speakers(build: Callable[[], Any]) -> tuple[Any, Any]:
    """Trains on vowels of which some channels are much larger; the network takes them in its first layer."""
    import tf_keras

    from benchmarks.data import Task, train_float
    from benchmarks.data_sets import vowels

    plain = vowels()
    factors = np.ones(plain.train[0].shape[-1], np.float32)
    factors[list(_WIDE_CHANNELS)] = _WIDE_FACTOR
    task = Task(
        (plain.train[0] * factors, plain.train[1]), (plain.evaluation[0] * factors, plain.evaluation[1]), "series"
    )
    tf_keras.utils.set_random_seed(1)
    inner = train_float(build(), plain, epochs=60)
    series = tf_keras.layers.Input(plain.train[0].shape[1:], name="series")
    scale = tf_keras.layers.Rescaling((1 / factors).tolist(), name="units")
    return tf_keras.Model(series, inner(scale(series)), name=inner.name), task


def _recurrent() -> tuple[Any, Any]:
    from benchmarks.small_networks import build_recurrent

    # TFLite has no 16x8 of its fused LSTM.
    return _speakers(lambda: build_recurrent(unroll=True))


def _transformer() -> tuple[Any, Any]:
    from benchmarks.small_networks import build_transformer

    return _speakers(build_transformer)


def _wide() -> tuple[Any, Any]:
    import tf_keras

    from benchmarks.data import digits, train_float

    task = digits()
    tf_keras.utils.set_random_seed(1)
    model = train_float(_build_wide(), task, epochs=20)
    _widen(model)
    return model, task


def _build_wide() -> Any:
    """Returns a network whose depthwise convolution comes right after a ReLU, which leaves ranges to the weights."""
    import tf_keras

    layers = tf_keras.layers
    image = layers.Input((8, 8, 1), name="image")
    hidden = layers.Conv2D(32, 3, padding="same", activation="relu", name="wide")(image)
    hidden = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(hidden)
    hidden = layers.Conv2D(64, 3, padding="same", activation="relu", name="conv")(hidden)
    hidden = layers.Flatten(name="flatten")(layers.MaxPooling2D(name="pool")(hidden))
    hidden = layers.Dense(96, activation="relu", name="dense")(hidden)
    model = tf_keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(hidden), name="separable")
    model.compile(tf_keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _widen(model: Any) -> None:
    """Makes four channels 3,000 times larger and the next layer's kernels smaller by as much: the same function."""
    factors = np.ones(32, np.float32)
    factors[:4] = _WIDE_ACTIVATIONS
    wide, depthwise = model.get_layer("wide"), model.get_layer("depthwise")
    kernel, bias = wide.get_weights()
    wide.set_weights([kernel * factors, bias * factors])
    kernel, bias = depthwise.get_weights()
    depthwise.set_weights([kernel / factors[:, None], bias])


_BUILDERS = {"recurrent": _recurrent, "transformer": _transformer, "wide activation": _wide}
