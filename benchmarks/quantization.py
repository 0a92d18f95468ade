"""What quantization costs beside the plain converter.

int8 with the same 256 records, medians of five rounds in turns. The checks, whose seconds stand apart, run the file
on 100 records and look at every operation on 32, each in a process of its own.
"""

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial

import tensorflow as tf
import tf_keras

from benchmarks.board import Board, Column, Table
from benchmarks.data import Task, digits, train_float
from benchmarks.small_networks import build_residual
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.quantization.packaging import InputOrigins, package
from slimline.core.quantization.production import Product
from slimline.core.tflite.provenance import describe_origin
from slimline_pipelines.digits.trainer import build_model

_ROUNDS = 5
_NUM_RECORDS = 256
_INT8 = QuantizationConfig(scheme="int8")


def convert_plainly(model: tf_keras.Model, task: Task) -> bytes:
    """Converts as LiteRT's guide does, from the exported model."""
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(io.StringIO()):
            model.export(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([record[task.input_name]] for record in task.representative()())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())


def with_checks(model: tf_keras.Model, task: Task, content: bytes, float_content: bytes) -> bytes:
    """Stamps, tries and describes a file, as the Quantizer does; returns it."""
    origin = describe_origin(
        source_digest="sha256:", config="", backend="converter", calibration_digest=None, training_digest=None
    )
    representative = task.representative(_NUM_RECORDS)
    product = Product(content, float_content)
    return package(model, _INT8, product, representative, inputs=InputOrigins({}, ""), origin=origin).content


def _seconds(action: Callable[[], bytes]) -> tuple[float, bytes]:
    started = time.perf_counter()
    content = action()
    return time.perf_counter() - started, content


def compare(board: Board, table: Table, name: str, model: tf_keras.Model, task: Task) -> None:
    """Writes a row: bytes and accuracy of both files, and the ratios of seconds, each the median of the rounds."""
    float_content = quantize(model, QuantizationConfig(scheme="float32"))
    times: dict[str, list[float]] = {"plain": [], "ours": [], "checks": []}
    for _ in range(_ROUNDS):
        seconds, plain = _seconds(lambda: convert_plainly(model, task))
        times["plain"].append(seconds)
        seconds, ours = _seconds(lambda: quantize(model, _INT8, task.representative(_NUM_RECORDS)))
        times["ours"].append(seconds)
        seconds, checked = _seconds(partial(with_checks, model, task, ours, float_content))
        times["checks"].append(seconds)
    plain_s, ours_s, checks_s = (statistics.median(times[key]) for key in ("plain", "ours", "checks"))
    table.row(
        name,
        len(plain),
        len(checked),
        task.accuracy(plain),
        task.accuracy(checked),
        plain_s,
        ours_s / plain_s,
        checks_s,
    )
    board.ratio(f"{name}: bytes of Slimline / plain", len(checked) / len(plain), at_most=1.01, tolerance=0.005)
    board.ratio(f"{name}: seconds of Slimline / plain", ours_s / plain_s, at_most=1.15, tolerance=0.2)


def run(board: Board) -> None:
    """Writes the table."""
    task = digits()
    table = board.table(
        "int8 by the plain converter and by Slimline",
        "model",
        Column("plain bytes", ",.0f"),
        Column("our bytes", ",.0f"),
        Column("plain accuracy", ".4f"),
        Column("our accuracy", ".4f"),
        Column("plain s", ".2f"),
        Column("time ratio", ".2f"),
        Column("checks s", ".2f"),
    )
    for name, build in (("cnn", build_model), ("residual", build_residual)):
        tf_keras.utils.set_random_seed(1)
        compare(board, table, name, train_float(build(), task, epochs=15), task)
