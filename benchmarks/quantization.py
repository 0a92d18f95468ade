"""What Slimline's quantization costs and gains beside the plain converter: `python -m benchmarks.quantization`.

First the same int8 file by both, in turns: bytes, accuracy, seconds, and what the checks add. Then a model that plain
int8 breaks, and what selective quantization makes of it.
"""

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout

import numpy as np
import tensorflow as tf
import tf_keras

from benchmarks.collaborative import build_residual
from benchmarks.data import Task, digits, train_float
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.quantization.packaging import InputOrigins, package
from slimline.core.quantization.production import Product, produce
from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.tflite.provenance import describe_origin
from slimline_pipelines.digits.trainer import build_model

_ROUNDS = 5
_NUM_RECORDS = 256
_INT8 = QuantizationConfig(scheme="int8")
# Factor on the channels that are made large, as a network without normalization may have them.
_WIDE = 3_000.0


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


def build_separable() -> tf_keras.Model:
    """Returns a network whose depthwise convolution comes right after a ReLU, which leaves ranges to the weights."""
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


def widen(model: tf_keras.Model) -> None:
    """Makes four channels 3,000 times larger and the next layer's kernels smaller by as much: the same function."""
    factors = np.ones(32, np.float32)
    factors[:4] = _WIDE
    wide, depthwise = model.get_layer("wide"), model.get_layer("depthwise")
    kernel, bias = wide.get_weights()
    wide.set_weights([kernel * factors, bias * factors])
    kernel, bias = depthwise.get_weights()
    depthwise.set_weights([kernel / factors[:, None], bias])


def _seconds(action: Callable[[], bytes]) -> tuple[float, bytes]:
    started = time.perf_counter()
    content = action()
    return time.perf_counter() - started, content


def compare(name: str, model: tf_keras.Model, task: Task) -> None:
    """Prints a row: bytes and accuracy of both files, and the ratios of seconds, each the median of the rounds."""
    float_content = quantize(model, QuantizationConfig(scheme="float32"))
    times: dict[str, list[float]] = {"plain": [], "ours": [], "checks": []}
    for _ in range(_ROUNDS):
        seconds, plain = _seconds(lambda: convert_plainly(model, task))
        times["plain"].append(seconds)
        seconds, ours = _seconds(lambda: quantize(model, _INT8, task.representative(_NUM_RECORDS)))
        times["ours"].append(seconds)
        seconds, checked = _seconds(lambda content=ours: with_checks(model, task, content, float_content))
        times["checks"].append(seconds)
    plain_s, ours_s, checks_s = (statistics.median(times[key]) for key in ("plain", "ours", "checks"))
    print(
        f"| {name} | {len(plain):,} | {len(checked):,} | {len(checked) / len(plain):.4f} | {task.accuracy(plain):.4f} "
        f"| {task.accuracy(checked):.4f} | {plain_s:.2f} | {ours_s / plain_s:.2f} | {checks_s:.2f} |",
        flush=True,
    )


def select(task: Task) -> None:
    """Prints what plain int8 and selective int8 make of a model with a wide range."""
    tf_keras.utils.set_random_seed(1)
    model = train_float(build_separable(), task, epochs=20)
    widen(model)
    representative = task.representative(_NUM_RECORDS)
    goal = SelectiveConfig(min_agreement=0.99)
    product = produce(model, QuantizationConfig(scheme="int8", selective=goal), representative)
    assert product.selection is not None
    rows = {
        "float32": product.float_content,
        "int8": quantize(model, _INT8, representative),
        f"int8, {len(product.selection.best.kept)} operations in float32": product.content,
    }
    for name, content in rows.items():
        share = len(content) / len(product.float_content)
        print(f"| {name} | {len(content):,} | {100 * share:.1f}% | {task.accuracy(content):.4f} |", flush=True)
    print(f"conversions: {len(product.selection.attempts)}, goal met: {product.selection.best.meets_goal}")


def main() -> None:
    """Prints both tables."""
    task = digits()
    print(
        "| model | plain bytes | our bytes | ratio | plain accuracy | our accuracy | plain s | time ratio | checks s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, build in (("cnn", build_model), ("residual", build_residual)):
        tf_keras.utils.set_random_seed(1)
        compare(name, train_float(build(), task, epochs=15), task)
    print("\n| file | bytes | of float32 | accuracy |\n|---|---|---|---|")
    select(task)


if __name__ == "__main__":
    main()
