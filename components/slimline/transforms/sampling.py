"""Draws a calibration sample with Beam.

One DoFn reads a whole file and keeps that file's bottom-k, which costs about half of reading records through
`ReadFromTFRecord`; the parts are then merged. The shape is `Create -> ParDo -> CombineGlobally -> ParDo`, with one leaf
and without output from `finish_bundle`: the subset that every Beam runner carries out.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from typing_extensions import override

from slimline import names
from slimline.core.sampling import ALGORITHM, BottomK, RankedRecord, SamplingConfig, merge, rank, record_digest
from slimline.core.tfrecord import read_records
from slimline.errors import ExamplesError


@dataclass(frozen=True)
class Part:
    """The sample of some of the files.

    Attributes:
      records: Bottom-k of the files read, in order of rank.
      num_scanned: Records in those files.
      errors: What was wrong with broken files. It travels as data, since runners turn a worker's exception into text.
    """

    records: tuple[RankedRecord, ...] = ()
    num_scanned: int = 0
    errors: tuple[ExamplesError, ...] = field(default=())


class SampleFiles(beam.PTransform):
    """From names of TFRecord files to one `Part` that covers them all.

    Args:
      config: k and seed.
    """

    def __init__(self, config: SamplingConfig) -> None:
        super().__init__()
        self._config = config

    @override
    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return (
            files
            | "Reshuffle" >> beam.Reshuffle()
            | "SampleFile" >> beam.Map(sample_file, self._config.num_records, self._config.seed)
            | "Merge" >> beam.CombineGlobally(MergeParts(self._config.num_records))
        )


def sample_file(file: str, num_records: int, seed: int) -> Part:
    """Reads one file and returns its bottom-k."""
    sample = BottomK(num_records)
    num_scanned = 0
    with FileSystems.open(file, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        try:
            for record in read_records(stream, file):
                sample.add(rank(record, seed), record)
                num_scanned += 1
        except ExamplesError as error:
            return Part(errors=(error,))
    return Part(tuple(sample.ranked()), num_scanned)


class MergeParts(beam.CombineFn):
    """Merges parts in any order and grouping into the same result."""

    def __init__(self, num_records: int) -> None:
        self._num_records = num_records

    @override
    def create_accumulator(self) -> Part:
        return Part()

    @override
    def add_input(self, accumulator: Part, part: Part) -> Part:
        return self.merge_accumulators([accumulator, part])

    @override
    def merge_accumulators(self, accumulators: Iterable[Part]) -> Part:
        parts = list(accumulators)
        records = merge((part.records for part in parts), self._num_records)
        errors = tuple(sorted((error for part in parts for error in part.errors), key=str))
        return Part(tuple(records), sum(part.num_scanned for part in parts), errors)

    @override
    def extract_output(self, accumulator: Part) -> Part:
        return accumulator


def write_sample(part: Part, folder: str, config: SamplingConfig, files: tuple[str, ...]) -> None:
    """Writes the records, in order of rank, and the manifest that lists them."""
    tf.io.gfile.makedirs(folder)
    with tf.io.TFRecordWriter(f"{folder}/{names.CALIBRATION_RECORDS_FILE}", options="GZIP") as writer:
        for _, record in part.records:
            writer.write(record)
    manifest = {
        "schema_version": 1,
        "algorithm": ALGORITHM,
        "seed": config.seed,
        "split": config.split,
        "num_requested": config.num_records,
        "num_records": len(part.records),
        "num_scanned": part.num_scanned,
        "files": list(files),
        "records": [
            {"rank": record_rank.hex(), "digest": record_digest(record)} for record_rank, record in part.records
        ],
        "errors": [error.args for error in part.errors],
    }
    with tf.io.gfile.GFile(f"{folder}/{names.CALIBRATION_MANIFEST_FILE}", "w") as stream:
        stream.write(json.dumps(manifest, indent=1) + "\n")
