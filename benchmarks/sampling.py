"""How fast and in how much memory the calibration sample is drawn: `python -m benchmarks.sampling`.

The alternative is what Beam offers for it, `ReadFromTFRecord | Sample.FixedSizeGlobally`, on the same files and runner.
Each figure comes from a process of its own; CPU seconds count from the start of the pipeline, without imports.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf

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


def rounds(folder: Path, num_records: int, repeat: int) -> Iterator[float]:
    """Prints each round, in which both ways take turns, and yields the ratio of their speeds."""
    for _ in range(repeat):
        found = {way: measure_apart(way, folder) for way in WAYS}
        for way, figures in found.items():
            rate = num_records / figures["cpu_s"]
            print(f"| {num_records:,} | {way} | {rate:,.0f} | {figures['peak_mib']:.0f} | {figures['added_mib']:.0f} |")
        yield found["beam"]["cpu_s"] / found["slimline"]["cpu_s"]


def main() -> None:
    """Prints the table and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", choices=list(WAYS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.folder)))
        return
    print("| records | way | records per CPU second | peak MiB | of it added |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        write_files(Path(small), 200_000, 8)
        ratios = list(rounds(Path(small), 200_000, options.repeat))
        write_files(Path(large), 2_000_000, 8)
        figures = measure_apart("slimline", Path(large))
        rate = 2_000_000 / figures["cpu_s"]
        print(f"| 2,000,000 | slimline | {rate:,.0f} | {figures['peak_mib']:.0f} | {figures['added_mib']:.0f} |")
    print(f"ratio to Beam's own: {np.median(ratios):.2f} (rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})")


if __name__ == "__main__":
    main()
