"""The TFRecord files of a split: found, read through once, and opened for TensorFlow."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tensorflow as tf

from slimline.core.digest import listing_digest
from slimline.core.examples.tfrecord import is_gzip, read_records
from slimline.errors import ExamplesError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class FileSet:
    """TFRecord files, of which nobody has read a record yet.

    Attributes:
      files: Paths or URIs, sorted.
    """

    files: tuple[str, ...]


@dataclass(frozen=True)
class CheckedRecords(FileSet):
    """The files of one split, read through once: none is broken.

    Attributes:
      num_records: Records in all files together; at least one.
    """

    num_records: int


def list_files(split_uri: str) -> tuple[str, ...]:
    """Returns the files of a split, sorted.

    Raises:
      ExamplesError: The split has no files.
    """
    files = sorted(tf.io.gfile.glob(f"{split_uri}/*")) if tf.io.gfile.isdir(split_uri) else []
    if not files:
        raise ExamplesError(f"no files in {split_uri}", "TFRecord files", "check that ExampleGen writes this split")
    return tuple(files)


def check_records(files: Sequence[str]) -> CheckedRecords:
    """Reads every record once, so that a broken file is found before any training.

    Raises:
      ExamplesError: A record is broken, or there are none.
    """
    num_records = sum(1 for _ in read_all(files))
    if not num_records:
        raise ExamplesError(
            f"no records in {', '.join(files)}", "at least one record", "check that ExampleGen fills this split"
        )
    return CheckedRecords(tuple(files), num_records)


def read_all(files: Sequence[str]) -> Iterator[bytes]:
    """Yields the serialized records of files in their order.

    Raises:
      ExamplesError: A record is broken.
    """
    for file in files:
        with tf.io.gfile.GFile(file, "rb") as stream:
            yield from read_records(stream, file)


def files_digest(files: Sequence[str]) -> str:
    """Returns the digest of files' names, without their folders, and contents: see `slimline.core.digest`."""
    listed = []
    for file in files:
        with tf.io.gfile.GFile(file, "rb") as stream:
            content = hashlib.sha256()
            while part := stream.read(_CHUNK_BYTES):
                content.update(part)
        listed.append((os.fsencode(os.path.basename(file)), f"sha256:{content.hexdigest()}"))  # noqa: PTH119 - may be a URI
    return listing_digest(sorted(listed))


def has_records(files: Sequence[str]) -> bool:
    """Returns whether any of the files holds a record; reads no further than that.

    Raises:
      ExamplesError: The first record of a file is broken.
    """
    for file in files:
        with tf.io.gfile.GFile(file, "rb") as stream:
            if next(read_records(stream, file), None) is not None:
                return True
    return False


def open_records(records: FileSet) -> tf.data.Dataset:
    """Opens files in their order, each compressed or not, as a dataset of serialized records."""
    parts = []
    for file in records.files:
        with tf.io.gfile.GFile(file, "rb") as stream:
            compression = "GZIP" if is_gzip(stream.read(12)) else ""
        parts.append(tf.data.TFRecordDataset(file, compression_type=compression))
    dataset = parts[0]
    for part in parts[1:]:
        dataset = dataset.concatenate(part)
    return dataset
