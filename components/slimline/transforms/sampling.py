"""Draws a calibration sample with Beam.

One DoFn reads a whole file and keeps that file's part of the sample, which costs about half of reading records through
`ReadFromTFRecord`; the parts are then merged. The shape is `Create -> ParDo -> CombineGlobally -> ParDo`, with one leaf
and without output from `finish_bundle`: the subset that every Beam runner carries out.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from typing_extensions import override

from slimline.core.digest import listing_digest
from slimline.core.examples.example_features import example_parser, numbers_of, require_values, stratum_of
from slimline.core.examples.tfrecord import compressed_records, read_records
from slimline.core.sampling.rank import (
    ALGORITHM,
    SampledRecord,
    SamplingConfig,
    record_digest,
    record_rank,
    select,
    too_many_strata,
)
from slimline.core.sampling.sketch import BottomK, Extremes, RankedRecord, Sketch, Valued, merge_sketches, sketch
from slimline.errors import ExamplesError
from slimline.names import file_names, schema_versions

# A stratum may lie in a few of the files only, where the rest of it can't be told from what one file holds.
_STRATA_MARGIN = 64


class SourceFile(NamedTuple):
    """A file to sample from.

    Attributes:
      path: Path or URI.
      share: Of the bytes of all files, in (0, 1]: about the share of the records, which bounds what has to be sent.
    """

    path: str
    share: float


@dataclass(frozen=True)
class FileSummary:
    """A file that was read to its end.

    Attributes:
      path: Path or URI.
      digest: `sha256:<hex>` of its bytes, as they lie on the disk.
      num_records: Records in it.
    """

    path: str
    digest: str
    num_records: int


@dataclass(frozen=True)
class Part:
    """What is kept of some of the files.

    Attributes:
      overall: Of all their records.
      strata: By stratum.
      extremes: By feature.
      files: Those that were read.
      errors: What was wrong with the others. It travels as data, since runners turn a worker's exception into text.
    """

    overall: Sketch
    strata: Mapping[str, Sketch] = field(default_factory=dict)
    extremes: Mapping[str, Extremes] = field(default_factory=dict)
    files: tuple[FileSummary, ...] = ()
    errors: tuple[ExamplesError, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether thinning left out nothing that belongs into the sample."""
        return self.overall.is_exact and all(stratum.is_exact for stratum in self.strata.values())


def source_files(paths: Sequence[str]) -> list[SourceFile]:
    """Returns files with their share of all bytes."""
    sizes = {
        found.path: found.size_in_bytes for match in FileSystems.match(list(paths)) for found in match.metadata_list
    }
    listed = [sizes.get(path) or 1 for path in paths]
    return [SourceFile(path, size / sum(listed)) for path, size in zip(paths, listed, strict=True)]


class SampleFiles(beam.PTransform):
    """From `SourceFile`s to one `Part` that covers them all.

    Args:
      config: What to sample.
      margin: Factor on the threshold above which records are left out early, see `Sketch.thinned`.
    """

    def __init__(self, config: SamplingConfig, margin: float = 1.0) -> None:
        super().__init__()
        self._config = config
        self._margin = margin

    @override
    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return (
            files
            | "Reshuffle" >> beam.Reshuffle()
            | "SampleFile" >> beam.Map(sample_file, self._config, self._margin)
            | "Merge" >> beam.CombineGlobally(MergeParts(self._config))
        )


def sample_file(file: SourceFile, config: SamplingConfig, margin: float = 1.0) -> Part:
    """Reads one file and returns what is kept of it."""
    collector = _Collector(config)
    num_records = 0
    with FileSystems.open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        hashed = _HashedStream(stream)
        try:
            for record in read_records(hashed, file.path):
                try:
                    collector.add(record)
                except ExamplesError as error:
                    found = f"{error.found} (record {num_records} of {file.path})"
                    raise ExamplesError(found, error.expected, error.remedy) from None
                num_records += 1
        except ExamplesError as error:
            return Part(Sketch(config.num_records), errors=(error,))
        summary = FileSummary(file.path, hashed.digest(), num_records)
    return collector.part(summary, file.share, margin)


class _HashedStream:
    """Digests a stream while it is read, which is then not read twice."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        while self.read(1 << 20):
            pass
        return "sha256:" + self._hash.hexdigest()


class _Collector:
    """Takes the records of one file. They are parsed only where strata or extremes ask for a feature."""

    def __init__(self, config: SamplingConfig) -> None:
        self._config = config
        self._overall = BottomK(config.num_records)
        self._strata: dict[str, BottomK] = {}
        self._extremes = dict.fromkeys(config.extremes, Extremes())
        self._parse = example_parser() if config.strata or config.extremes else None

    def add(self, record: bytes) -> None:
        rank = record_rank(record, self._config.seed)
        self._overall.add(rank, record)
        if self._parse is not None:
            self._add_parsed(self._parse(record), (rank, record))

    def _add_parsed(self, example: Any, ranked: RankedRecord) -> None:
        strata = self._config.strata
        if strata is not None:
            name = stratum_of(require_values(example, strata.feature, "strata"), strata.feature)
            if name not in self._strata:
                if len(self._strata) == self._config.max_strata:
                    raise too_many_strata(self._config)
                self._strata[name] = BottomK(strata.min_records)
            self._strata[name].add(*ranked)
        for feature in self._config.extremes:
            numbers = numbers_of(require_values(example, feature, "extremes"), feature)
            if numbers:
                ends = Extremes(Valued(min(numbers), ranked), Valued(max(numbers), ranked))
                self._extremes[feature] = self._extremes[feature].including(ends)

    def part(self, file: FileSummary, share: float, margin: float) -> Part:
        size = self._config.strata.min_records if self._config.strata else 0
        return Part(
            sketch(self._overall, self._config.num_records).thinned(share, margin),
            {
                name: sketch(stratum, size).thinned(share, margin * _STRATA_MARGIN)
                for name, stratum in self._strata.items()
            },
            self._extremes,
            (file,),
        )


class MergeParts(beam.CombineFn):
    """Merges parts in any order and grouping into the same result."""

    def __init__(self, config: SamplingConfig) -> None:
        self._config = config

    @override
    def create_accumulator(self) -> Part:
        return self.merge_accumulators(())

    @override
    def add_input(self, accumulator: Part, part: Part) -> Part:
        return self.merge_accumulators([accumulator, part])

    @override
    def merge_accumulators(self, accumulators: Iterable[Part]) -> Part:
        parts = list(accumulators)
        return Part(
            merge_sketches((part.overall for part in parts), self._config.num_records),
            _merge(
                [part.strata for part in parts],
                lambda sketches: merge_sketches(
                    sketches, self._config.strata.min_records if self._config.strata else 0
                ),
            ),
            _merge([part.extremes for part in parts], _widest),
            tuple(sorted((file for part in parts for file in part.files), key=lambda file: file.path)),
            tuple(sorted((error for part in parts for error in part.errors), key=str)),
        )

    @override
    def extract_output(self, accumulator: Part) -> Part:
        return accumulator


def _merge(maps: Sequence[Mapping[str, Any]], combine: Callable[[list[Any]], Any]) -> dict[str, Any]:
    keys = sorted({key for each in maps for key in each})
    return {key: combine([each[key] for each in maps if key in each]) for key in keys}


def _widest(ends: Iterable[Extremes]) -> Extremes:
    widest = Extremes()
    for each in ends:
        widest = widest.including(each)
    return widest


def write_sample(part: Part, folder: str, config: SamplingConfig) -> None:
    """Writes the records, in order of rank, and a manifest that lists them."""
    errors = part.errors
    sample: list[SampledRecord] = []
    if not errors:
        try:
            sample = select(part.overall, part.strata, part.extremes, config)
        except ExamplesError as error:
            errors = (error,)
    _write(f"{folder}/{file_names.CALIBRATION_RECORDS}", compressed_records(sampled.record for sampled in sample))
    manifest = {**_describe(part, sample, config), "errors": [error.args for error in errors]}
    _write(f"{folder}/{file_names.CALIBRATION_MANIFEST}", (json.dumps(manifest, indent=1) + "\n").encode())


def _describe(part: Part, sample: Sequence[SampledRecord], config: SamplingConfig) -> dict[str, Any]:
    strata = None
    num_scanned = sum(file.num_records for file in part.files)
    if config.strata is not None:
        counts = {name: sum(f"stratum {name}" in sampled.reasons for sampled in sample) for name in part.strata}
        strata = {"feature": config.strata.feature, "min_records": config.strata.min_records, "num_reserved": counts}
    return {
        "schema_version": schema_versions.CALIBRATION_MANIFEST,
        "algorithm": ALGORITHM,
        "seed": config.seed,
        "split": config.split,
        "num_requested": config.num_records,
        "num_records": len(sample),
        "num_scanned": num_scanned,
        "num_distinct_estimate": min(part.overall.estimate_distinct(), num_scanned),
        "is_exact": part.is_exact,
        "source_digest": listing_digest(
            sorted((os.fsencode(file.path.rpartition("/")[2]), file.digest) for file in part.files)
        ),
        "files": [asdict(file) for file in part.files],
        "strata": strata,
        "records": [
            {
                "rank": sampled.rank.hex(),
                "digest": record_digest(sampled.record),
                **({"reserved": list(sampled.reasons)} if sampled.reasons else {}),
            }
            for sampled in sample
        ],
    }


def _write(path: str, content: bytes) -> None:
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        stream.write(content)
