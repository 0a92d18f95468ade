"""What a user would pick instead, on the same model and data, in one run.

The alternatives are the recipe of LiteRT's guide with the plain converter, TFX's own `TFLiteRewriter` (which offers
dynamic range and full integers to a Trainer), litert-quantizer with its stock recipes, and scripts with TFMOT as in
its guides. Lines are those of code that a user writes: of the functions below for the alternatives, and of the calls
of `slimline.core` for ours. Seconds are of one run each and include the training where there is one; what ours does
more in that time - running the file on the records, comparing every operation with the float model, stamping where it
came from - is in `python -m benchmarks quantization`.

Slimline calibrates in a process of its own, so that a crash of the converter ends no pipeline; the first conversion
starts it, and it serves those after it. That start, in which TensorFlow is imported once more, is in the seconds of the
first int8 row.
"""

import ast
import inspect
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.board import Board, Column

_EPOCHS = 12
_NUM_RECORDS = 256


def run(board: Board) -> None:
    """Makes the same file by every way."""
    import tensorflow as tf
    import tf_keras

    from benchmarks.data import digits, train_float
    from slimline.core.models.saving import gzip_size
    from slimline_pipelines.digits.trainer import build_model

    tf.get_logger().setLevel("ERROR")
    task = digits()
    tf_keras.utils.set_random_seed(1)
    model = train_float(build_model(), task, epochs=5 if board.quick else 20)
    table = board.table(
        "One network for digits; accuracy on 450 examples",
        "what is wanted",
        "way",
        Column("bytes", ",.0f"),
        Column("gzip bytes", ",.0f"),
        Column("accuracy", ".4f"),
        Column("seconds", ".1f"),
        Column("lines", ".0f"),
    )
    for wanted, ways in _WAYS.items():
        if board.quick and wanted not in _QUICK:
            continue
        sizes = {}
        for name, make in ways.items():
            started = time.perf_counter()
            content = make(model, task)
            seconds = time.perf_counter() - started
            sizes[name] = gzip_size(content)
            table.row(wanted, name, len(content), sizes[name], task.accuracy(content), seconds, count_lines(make))
        for name, size in sizes.items():
            if name != "Slimline":
                board.ratio(f"{wanted}: gzip bytes of Slimline / {name}", sizes["Slimline"] / size, at_most=1.02)


def count_lines(function: Callable[..., Any]) -> int:
    """Returns the lines of code in a function's body, without its docstring, comments and imports."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    counted = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and node is not tree]
    return sum(not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) or _is_call(node) for node in counted)


def _is_call(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def ours_dynamic(model: Any, task: Any) -> bytes:
    """Slimline's dynamic range."""
    from slimline.core.quantization.configuration import QuantizationConfig
    from slimline.core.quantization.conversion import quantize

    return quantize(model, QuantizationConfig(scheme="dynamic_range"))


def ours_int8(model: Any, task: Any) -> bytes:
    """Slimline's int8."""
    from slimline.core.quantization.configuration import QuantizationConfig
    from slimline.core.quantization.conversion import quantize

    return quantize(model, QuantizationConfig(scheme="int8"), task.representative(_NUM_RECORDS))


def ours_small(model: Any, task: Any) -> bytes:
    """Slimline's pruned and clustered int8."""
    from slimline.core.optimization.clustering import cluster
    from slimline.core.optimization.clustering_config import ClusteringConfig
    from slimline.core.optimization.pruning import prune
    from slimline.core.optimization.pruning_config import PruningConfig
    from slimline.core.quantization.configuration import QuantizationConfig
    from slimline.core.quantization.conversion import quantize

    pruning = PruningConfig(target_sparsity=0.8, epochs=_EPOCHS, learning_rate=1e-3)
    pruned = prune(model, task.dataset(), task.num_examples, pruning)
    clustering = ClusteringConfig(num_clusters=16, epochs=_EPOCHS // 2, learning_rate=3e-4)
    clustered = cluster(pruned.model, task.dataset(), task.num_examples, clustering)
    return quantize(clustered.model, QuantizationConfig(scheme="int8"), task.representative(_NUM_RECORDS))


def ours_aware(model: Any, task: Any) -> bytes:
    """Slimline's quantization-aware training."""
    from slimline.core.optimization.qat import train_quantization_aware
    from slimline.core.optimization.qat_config import QatConfig
    from slimline.core.quantization.conversion import convert_quantization_aware

    config = QatConfig(epochs=_EPOCHS // 2, learning_rate=3e-4)
    return convert_quantization_aware(train_quantization_aware(model, task.dataset(), task.num_examples, config))


def plain_dynamic(model: Any, task: Any) -> bytes:
    """The guide's dynamic range."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


def plain_int8(model: Any, task: Any) -> bytes:
    """The guide's full integers."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        records = task.representative(_NUM_RECORDS)
        converter.representative_dataset = lambda: ([record[task.input_name]] for record in records())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())


def rewriter_dynamic(model: Any, task: Any) -> bytes:
    """TFX's rewriter, as a Trainer calls it after its export."""
    import tensorflow as tf
    from tfx.components.trainer.rewriting.rewriter import ModelDescription, ModelType
    from tfx.components.trainer.rewriting.tflite_rewriter import TFLiteRewriter

    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        model.save(source, save_format="tf")
        made = TFLiteRewriter("dynamic", quantization_optimizations=[tf.lite.Optimize.DEFAULT])
        made.perform_rewrite(
            ModelDescription(ModelType.SAVED_MODEL, source), ModelDescription(ModelType.TFLITE_MODEL, target)
        )
        return (Path(target) / "tflite").read_bytes()


def rewriter_int8(model: Any, task: Any) -> bytes:
    """The same with records for full integers."""
    import tensorflow as tf
    from tfx.components.trainer.rewriting.rewriter import ModelDescription, ModelType
    from tfx.components.trainer.rewriting.tflite_rewriter import TFLiteRewriter

    records = task.representative(_NUM_RECORDS)
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        model.save(source, save_format="tf")
        made = TFLiteRewriter(
            "int8",
            quantization_optimizations=[tf.lite.Optimize.DEFAULT],
            quantization_enable_full_integer=True,
            representative_dataset=lambda: ([record[task.input_name]] for record in records()),
        )
        made.perform_rewrite(
            ModelDescription(ModelType.SAVED_MODEL, source), ModelDescription(ModelType.TFLITE_MODEL, target)
        )
        return (Path(target) / "tflite").read_bytes()


def litert_dynamic(model: Any, task: Any) -> bytes:
    """litert-quantizer's stock recipe for dynamic range."""
    from litert_quantizer import quantizer, recipe

    program = quantizer.Quantizer(bytearray(_float_file(model)))
    program.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    return bytes(program.quantize(enable_progress_bar=False, enable_progress_report=False).quantized_model)


def litert_int8(model: Any, task: Any) -> bytes:
    """litert-quantizer's stock recipe for integers."""
    from litert_quantizer import quantizer, recipe

    program = quantizer.Quantizer(bytearray(_float_file(model)))
    program.load_quantization_recipe(recipe.static_wi8_ai8())
    records = [dict(record) for record in task.representative(_NUM_RECORDS)()]
    calibrated = program.calibrate({"serving_default": records})
    return bytes(program.quantize(calibrated, enable_progress_bar=False, enable_progress_report=False).quantized_model)


def tfmot_small(model: Any, task: Any) -> bytes:
    """TFMOT's pruning and clustering by hand, then the guide's full integers."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    steps = -(-task.num_examples // 32) * _EPOCHS
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.8, 0, int(steps * 0.75), frequency=20)
    pruned = tfmot.sparsity.keras.prune_low_magnitude(_clone(model), pruning_schedule=schedule)
    pruned.compile(tf_keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    pruned.fit(task.dataset(), epochs=_EPOCHS, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()], verbose=0)
    pruned = tfmot.sparsity.keras.strip_pruning(pruned)
    clustered = tfmot.clustering.keras.cluster_weights(
        pruned,
        number_of_clusters=16,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    )
    clustered.compile(tf_keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy")
    clustered.fit(task.dataset(), epochs=_EPOCHS // 2, verbose=0)
    return plain_int8(tfmot.clustering.keras.strip_clustering(clustered), task)


def tfmot_aware(model: Any, task: Any) -> bytes:
    """TFMOT's quantization-aware training by hand."""
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras

    aware = tfmot.quantization.keras.quantize_model(_clone(model))
    aware.compile(tf_keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy")
    aware.fit(task.dataset(), epochs=_EPOCHS // 2, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        aware.export(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())


def _clone(model: Any) -> Any:
    import tf_keras

    clone = tf_keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def _float_file(model: Any) -> bytes:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


_QUICK = ("dynamic range", "int8")
_WAYS: dict[str, dict[str, Callable[[Any, Any], bytes]]] = {
    "dynamic range": {
        "Slimline": ours_dynamic,
        "plain converter": plain_dynamic,
        "TFLiteRewriter": rewriter_dynamic,
        "litert-quantizer": litert_dynamic,
    },
    "int8": {
        "Slimline": ours_int8,
        "plain converter": plain_int8,
        "TFLiteRewriter": rewriter_int8,
        "litert-quantizer": litert_int8,
    },
    "pruned 80%, 16 clusters, int8": {"Slimline": ours_small, "TFMOT by hand": tfmot_small},
    "quantization-aware int8": {"Slimline": ours_aware, "TFMOT by hand": tfmot_aware},
}
