"""Looks for the records of a sample in other files, as in those that the model is evaluated on."""

import json
from collections.abc import Iterable
from typing import TypeAlias

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from typing_extensions import override

from slimline.core.examples.tfrecord import read_records
from slimline.core.sampling.rank import record_rank
from slimline.errors import ExamplesError

# Ranks of sampled records that were found, and what was wrong with files.
Found: TypeAlias = tuple[frozenset[str], tuple[ExamplesError, ...]]


class FindSampled(beam.PTransform):
    """From file names to one pair: the ranks of sampled records found in the files, and the errors in them.

    Args:
      manifest: Path of the sample's manifest, which each worker reads: what is pickled into a pipeline goes to all.
    """

    def __init__(self, manifest: str) -> None:
        super().__init__()
        self._manifest = manifest

    @override
    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return (
            files
            | "Reshuffle" >> beam.Reshuffle()
            | "FindInFile" >> beam.Map(find_in_file, self._manifest)
            | "Union" >> beam.CombineGlobally(union)
        )


def find_in_file(file: str, manifest: str) -> Found:
    """Returns the ranks of sampled records that are also in a file."""
    seed, sampled = _read_ranks(manifest)
    try:
        with FileSystems.open(file, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            ranks = (record_rank(record, seed).hex() for record in read_records(stream, file))
            return frozenset(each for each in ranks if each in sampled), ()
    except ExamplesError as error:
        return frozenset(), (error,)


def union(parts: Iterable[Found]) -> Found:
    """Returns all that was found, and all errors."""
    listed = list(parts)
    ranks = frozenset().union(*(found for found, _ in listed))
    return ranks, tuple(sorted((error for _, errors in listed for error in errors), key=str))


def write_found(found: Found, path: str) -> None:
    """Writes what was found as JSON."""
    ranks, errors = found
    content = {"ranks": sorted(ranks), "errors": [error.args for error in errors]}
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        stream.write(json.dumps(content).encode())


def _read_ranks(manifest: str) -> tuple[int, frozenset[str]]:
    with FileSystems.open(manifest, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        content = json.loads(stream.read())
    return content["seed"], frozenset(record["rank"] for record in content["records"])
