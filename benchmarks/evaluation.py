"""How fast models are evaluated, and in how much memory.

Examples per second of a candidate's evaluation, in its process and with the counting, against a plain loop with
LiteRT in one process, on the same 20,000 examples in memory; the network takes about 10 microseconds an example, so
that this is nearly all overhead. Then the same against TFMA's own evaluation of the file, imports aside, where ours
evaluates the original as well; the host latency of MobileNet against LiteRT's own benchmark, in turns; and the memory
while the examples grow.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from benchmarks.board import Board, Column
from benchmarks.data import Task, digits, train_float
from slimline.core.evaluation.accumulators import Accumulator
from slimline.core.evaluation.evaluator import Batch, Evaluator, hash_key
from slimline.core.evaluation.gates import GateConfig, Threshold
from slimline.core.evaluation.measurement import measure
from slimline.core.evaluation.metrics import METRICS, find_metric
from slimline.core.evaluation.running_candidate import Candidate, RunningCandidate
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline_pipelines.digits.trainer import build_model

_SCHEMA = """
feature { name: "image" type: FLOAT shape { dim { size: 64 } } }
feature { name: "digit" type: INT shape { dim { size: 1 } } }
"""
_GATE = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.5),))
_ROUNDS = 3


def write_examples(path: Path, task: Task, num_examples: int) -> None:
    """Writes the evaluation images again and again, with a little noise, as TFRecords."""
    images, labels = task.evaluation
    generator = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
        for number in range(num_examples):
            place = number % len(labels)
            image = images[place].ravel() + generator.normal(scale=0.01, size=64)
            features = {
                "image": tf.train.Feature(float_list=tf.train.FloatList(value=image)),
                "digit": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(labels[place])])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def make_models() -> tuple[tf_keras.Model, dict[str, bytes], Task]:
    """Trains the pipeline's network and converts it."""
    task = digits()
    tf_keras.utils.set_random_seed(1)
    model = train_float(build_model(), task, epochs=5)
    files = {
        "float32": quantize(model, QuantizationConfig(scheme="float32")),
        "int8": quantize(model, QuantizationConfig(scheme="int8"), task.representative()),
    }
    return model, files, task


def evaluate(model: tf_keras.Model, content: bytes, path: Path) -> tuple[float, float]:
    """Evaluates a file and the original with Slimline; returns the file's accuracy, and seconds."""
    schema = text_format.Parse(_SCHEMA, schema_pb2.Schema())
    with Evaluator(
        model, [Candidate("file", "", content)], _GATE, schema, ExamplesConfig(label_key="digit")
    ) as running:
        started = time.perf_counter()
        counted = running.evaluate_files([str(path)])
        seconds = time.perf_counter() - started
        return _accuracy(counted), seconds


def evaluate_candidate(content: bytes, batches: list[Batch]) -> tuple[float, float]:
    """Evaluates a file as the evaluator does, in a process of its own, but without the original; seconds as well."""
    counted, metrics = Accumulator(), {"accuracy": find_metric("accuracy")}
    running = RunningCandidate(Candidate("file", "", content), None, "probabilities", _GATE)
    running.begin_loading()
    running.finish_loading()
    started = time.perf_counter()
    running.begin(batches[0].inputs)
    for batch, following in zip(batches, [*batches[1:], None], strict=True):
        size = len(batch.labels)
        predictions = running.finish((size, 10))
        if following is not None:
            running.begin(following.inputs)
        assert predictions is not None
        keys = np.array([hash_key(record) for record in batch.records], np.uint64)
        counted.add(batch.labels, {"": predictions, "file": predictions}, metrics, [["overall"]] * size, keys)
    seconds = time.perf_counter() - started
    running.close()
    return _accuracy(counted), seconds


def _accuracy(counted: Accumulator) -> float:
    return METRICS["accuracy"].statistic.values(counted.models["file"].metrics["overall", "accuracy"])[1]


def evaluate_plainly(content: bytes, batches: list[Batch]) -> tuple[float, float]:
    """Evaluates a file as LiteRT's guide does: quantize, set, invoke, get and compare, one example after the other."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = given["quantization"]
    started, right, total = time.perf_counter(), 0, 0
    for batch in batches:
        for image, label in zip(batch.inputs["image"], batch.labels, strict=True):
            values = image[np.newaxis]
            if scale:
                values = np.clip(np.round(values / scale) + zero_point, -128, 127).astype(np.int8)
            interpreter.set_tensor(given["index"], values)
            interpreter.invoke()
            right += int(interpreter.get_tensor(result["index"]).argmax() == label)
            total += 1
    return right / total, time.perf_counter() - started


def write_speed(board: Board) -> None:
    """Writes examples per second of both ways on batches in memory, and of the whole evaluation with the original."""
    model, files, task = make_models()
    number = 20_000
    table = board.table(
        "Examples per second; the last column is the whole evaluation, with the original and with reading",
        "file",
        Column("plain loop", ",.0f"),
        Column("Slimline", ",.0f"),
        Column("ratio", ".2f"),
        "same result",
        Column("with original and reading", ",.0f"),
    )
    schema = text_format.Parse(_SCHEMA, schema_pb2.Schema())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "examples.gz"
        write_examples(path, task, number)
        with Evaluator(model, [], _GATE, schema, ExamplesConfig(label_key="digit")) as reader:
            batches = list(reader._batches(str(path)))
        for name, content in files.items():
            plain, ours, whole = [], [], []
            for _ in range(_ROUNDS):
                wanted, seconds = evaluate_plainly(content, batches)
                plain.append(seconds)
                accuracy, seconds = evaluate_candidate(content, batches)
                ours.append(seconds)
                whole.append(evaluate(model, content, path)[1])
            rates = [number / statistics.median(times) for times in (plain, ours, whole)]
            same = "yes" if accuracy == wanted else f"{accuracy} against {wanted}"
            ratio = rates[1] / rates[0]
            table.row(name, rates[0], rates[1], ratio, same, rates[2])
            board.ratio(f"{name}: examples per second of Slimline / plain loop", ratio, at_least=0.85, tolerance=0.2)


def write_tfma(board: Board) -> None:
    """Writes seconds of TFMA's evaluation of the same file and data, and of ours."""
    import tensorflow_model_analysis as tfma

    model, files, task = make_models()
    number = 2_000
    table = board.table(
        "2,000 examples",
        "file",
        Column("TFMA s", ".2f"),
        Column("Slimline s", ".2f"),
        Column("times faster", ".1f"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "examples.gz"
        write_examples(path, task, number)
        for name, content in files.items():
            place = Path(folder) / name
            place.mkdir()
            (place / "tflite").write_bytes(content)
            config = tfma.EvalConfig(
                model_specs=[tfma.ModelSpec(model_type="tf_lite", label_key="digit")],
                slicing_specs=[tfma.SlicingSpec()],
                metrics_specs=[tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name="SparseCategoricalAccuracy")])],
            )
            shared = tfma.default_eval_shared_model(str(place), eval_config=config)
            started = time.perf_counter()
            tfma.run_model_analysis(
                eval_shared_model=shared,
                eval_config=config,
                data_location=str(path),
                file_format="tfrecords",
                output_path=str(Path(folder) / f"out-{name}"),
                extractors=None,
            )
            theirs = time.perf_counter() - started
            _, ours = evaluate(model, content, path)
            table.row(name, theirs, ours, theirs / ours)
            board.ratio(f"{name}: seconds of TFMA / Slimline", theirs / ours, at_least=5, tolerance=0.3)


def write_latency(board: Board) -> None:
    """Writes the median latency as the validator measures it, and as LiteRT's own benchmark does, in turns."""
    application = tf_keras.applications.MobileNet(input_shape=(224, 224, 3), weights=None)
    content = quantize(application, QuantizationConfig(scheme="float32"))
    example = {application.input_names[0]: np.random.default_rng(0).random((1, 224, 224, 3)).astype(np.float32)}
    table = board.table(
        "Median latency of MobileNet, 224 x 224, float32",
        Column("LiteRT's benchmark, ms", ".2f"),
        Column("the validator, ms", ".2f"),
        Column("ratio", ".3f"),
    )
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        path, answer = Path(folder) / "model.tflite", Path(folder) / "result.json"
        path.write_bytes(content)
        for _ in range(_ROUNDS):
            command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model", f"--model={path}"]
            subprocess.run([*command, f"--result_json={answer}"], check=True, capture_output=True)
            theirs = json.loads(answer.read_text())["latency"]["median_ms"]
            ours = measure(content, "model", example, _GATE).latency.p50_ms
            table.row(theirs, ours, ours / theirs)
            ratios.append(ours / theirs)
    board.ratio(
        "latency of the validator / LiteRT's benchmark", statistics.median(ratios), at_most=1.05, tolerance=0.05
    )


def write_memory(board: Board) -> None:
    """Writes the peak memory of evaluating few and many examples, each in a process of its own."""
    table = board.table(
        "Memory of int8's evaluation",
        Column("examples", ",.0f"),
        Column("peak MiB", ".0f"),
        Column("of it after the first 1,000 examples", ".0f"),
    )
    for number in (10_000, 500_000):
        command = [sys.executable, "-m", "benchmarks.evaluation", "--measure-memory", str(number)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        table.row(number, found["peak_mib"], found["added_mib"])


def measure_memory(num_examples: int) -> None:
    """Prints the peak memory of this process as JSON."""
    model, files, task = make_models()
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few.gz", Path(folder) / "many.gz"
        write_examples(few, task, 1_000)
        write_examples(many, task, num_examples)
        evaluate(model, files["int8"], few)
        before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        evaluate(model, files["int8"], many)
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mib": peak_mib, "added_mib": peak_mib - before_mib}))


def run(board: Board) -> None:
    """Writes all parts."""
    for part in (write_speed, write_tfma, write_latency, write_memory):
        part(board)


def _measure_here() -> None:
    """Prints the memory of one evaluation as JSON, for `write_memory`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure-memory", type=int, required=True)
    measure_memory(parser.parse_args().measure_memory)


if __name__ == "__main__":
    _measure_here()
