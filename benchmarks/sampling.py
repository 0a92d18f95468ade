"""How fast and in how much memory the calibration sample is drawn.

Records of about 800 bytes in GZIP, 8 files, 512 sampled, with checksums, on Beam's embedded runner. The alternative
is what Beam offers for it, `ReadFromTFRecord | Sample.FixedSizeGlobally`, on the same files and runner, in turns.
Each figure comes from a process of its own; CPU seconds count from the start of the pipeline, without imports. Most
of the memory is Beam and TensorFlow themselves.
"""

import argparse
import gzip
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf

from benchmarks.board import Board, Column
from slimline.core.examples.tfrecord import masked_crc32c
from slimline.core.sampling.rank import SamplingConfig
from slimline.transforms.runner import pinned_arguments
from slimline.transforms.sampling import SampleFiles, source_files

NUM_SAMPLED = 512
NUM_VALUES = 196
_FLOAT_BYTES = 4 * NUM_VALUES


def write_files(folder: Path, num_records: int, num_files: int) -> None:
    """Writes GZIP TFRecord files of distinct tf.Examples of about 800 bytes."""
    values = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * NUM_VALUES))
    example = tf.train.Example(features=tf.train.Features(feature={"x": values})).SerializeToString()
    start = example.index(struct.pack("<f", 0.5) * 2)
    generator = np.random.default_rng(0)
    for number in range(num_files):
        with gzip.open(folder / f"data-{number:05}.gz", "wb", compresslevel=1) as stream:
            for _ in range(num_records // num_files):
                # Numbers as sensors give them, which compress by about half.
                drawn = np.round(generator.normal(size=NUM_VALUES), 2).astype("<f4").tobytes()
                record = example[:start] + drawn + example[start + _FLOAT_BYTES :]
                length = struct.pack("<Q", len(record))
                crcs = [struct.pack("<I", masked_crc32c(part)) for part in (length, record)]
                stream.write(length + crcs[0] + record + crcs[1])


def with_slimline(pipeline: beam.Pipeline, files: list[str]) -> None:
    """The CalibrationSampler's own transform."""
    config = SamplingConfig(num_records=NUM_SAMPLED)
    _ = (
        pipeline
        | beam.Create(source_files(files))
        | SampleFiles(config)
        | beam.Map(lambda part: len(part.overall.records))
    )


def with_beam(pipeline: beam.Pipeline, files: list[str]) -> None:
    """Beam's own parts."""
    pattern = str(Path(files[0]).parent / "*")
    _ = (
        pipeline
        | beam.io.ReadFromTFRecord(pattern)
        | beam.combiners.Sample.FixedSizeGlobally(NUM_SAMPLED)
        | beam.Map(len)
    )


WAYS: dict[str, Callable[[beam.Pipeline, list[str]], None]] = {"slimline": with_slimline, "beam": with_beam}


def measure(way: str, folder: Path) -> dict[str, float]:
    """Runs one way in this process."""
    files = sorted(str(path) for path in folder.iterdir())
    before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    with beam.Pipeline(argv=pinned_arguments([])) as pipeline:
        WAYS[way](pipeline, files)
    cpu_s = time.process_time() - started
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": cpu_s, "peak_mib": peak_mib, "added_mib": peak_mib - before_mib}


def measure_apart(way: str, folder: Path) -> dict[str, Any]:
    """Runs one way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sampling", "--measure", way, "--folder", str(folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def run(board: Board) -> None:
    """Writes the table and the ratio."""
    table = board.table(
        f"{NUM_SAMPLED} of so many records",
        Column("records", ",.0f"),
        "way",
        Column("records per CPU second", ",.0f"),
        Column("peak MiB", ".0f"),
        Column("of it added by the pipeline", ".0f"),
    )
    ratios = []
    few, many = (50_000, 0) if board.quick else (200_000, 2_000_000)
    for number in filter(None, (few, many)):
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), number, 8)
            for _ in range(3 if number == few else 1):
                found = {way: measure_apart(way, Path(folder)) for way in (WAYS if number == few else ("slimline",))}
                for way, figures in found.items():
                    table.row(number, way, number / figures["cpu_s"], figures["peak_mib"], figures["added_mib"])
                if number == few:
                    ratios.append(found["beam"]["cpu_s"] / found["slimline"]["cpu_s"])
    board.ratio("CPU seconds of Beam's own / Slimline", float(np.median(ratios)), at_least=1.8)


def _measure_here() -> None:
    """Prints the figures of one way as JSON, for `measure_apart`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", choices=list(WAYS), required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    print(json.dumps(measure(options.measure, options.folder)))


if __name__ == "__main__":
    _measure_here()
