"""Reads TFRecord files with their checksums, without TensorFlow.

Each record is a little-endian uint64 length, a masked CRC-32C of those eight bytes, the data, and a masked CRC-32C of
the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). Sampling reads whole
shards from streams that Beam opens, and errors name the record: TensorFlow's readers do neither (docs/decisions.md).
"""

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO

import google_crc32c
from typing_extensions import Buffer

from slimline.errors import ExamplesError

_BUFFER_BYTES = 1 << 18
_GZIP_MAGIC = b"\x1f\x8b"
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER_BYTES = _LENGTH.size + _CRC.size


def read_records(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Yields the records of one TFRecord file, plain or GZIP.

    Args:
      stream: The file's bytes from its beginning. Compression is told from the first two bytes.
      name: The file's name, for messages.

    Raises:
      ExamplesError: A checksum is wrong, or the file ends inside a record.
    """
    buffered = io.BufferedReader(_Raw(stream), _BUFFER_BYTES)
    is_gzip = buffered.peek(2)[:2] == _GZIP_MAGIC
    reader: IO[bytes] = io.BufferedReader(gzip.GzipFile(fileobj=buffered), _BUFFER_BYTES) if is_gzip else buffered
    index = 0
    try:
        while header := reader.read(_HEADER_BYTES):
            yield _read_record(reader, header)
            index += 1
    except (_BrokenRecordError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ExamplesError(
            f"record {index} of {name} is broken: {error}",
            "TFRecord records with valid checksums, plain or GZIP",
            "write the file again, or take it out of the split",
        ) from None


class _Raw(io.RawIOBase):
    """Makes a stream that only reads, as TensorFlow's and Beam's do, fit for buffering."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


class _BrokenRecordError(Exception):
    """A record's bytes do not add up."""


def _read_record(reader: IO[bytes], header: bytes) -> bytes:
    if len(header) < _HEADER_BYTES:
        raise _BrokenRecordError("the file ends inside a header")
    if _masked_crc32c(header[: _LENGTH.size]) != _CRC.unpack_from(header, _LENGTH.size)[0]:
        raise _BrokenRecordError("the checksum of its length is wrong")
    (num_bytes,) = _LENGTH.unpack_from(header)
    data = reader.read(num_bytes + _CRC.size)
    if len(data) < num_bytes + _CRC.size:
        raise _BrokenRecordError("the file ends inside it")
    record = data[:num_bytes]
    if _masked_crc32c(record) != _CRC.unpack_from(data, num_bytes)[0]:
        raise _BrokenRecordError("the checksum of its data is wrong")
    return record


def _masked_crc32c(data: bytes) -> int:
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
