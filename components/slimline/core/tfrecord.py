"""Reads and writes TFRecord files with their checksums, without TensorFlow.

Each record is a little-endian uint64 length, a masked CRC-32C of those eight bytes, the data, and a masked CRC-32C of
the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). Sampling reads whole
shards from streams that Beam opens, and errors name the record: TensorFlow's readers do neither (docs/decisions.md).
"""

import gzip
import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Protocol

import google_crc32c
from typing_extensions import Buffer

from slimline.errors import ExamplesError

_BUFFER_BYTES = 1 << 18
_GZIP_MAGIC = b"\x1f\x8b"
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_MAX_BYTES = 1 << 31
_HEADER_BYTES = _LENGTH.size + _CRC.size


class Readable(Protocol):
    """What records are read from: TensorFlow's and Beam's streams do no more than this."""

    def read(self, size: int, /) -> bytes:
        """Returns up to `size` bytes, none at the end."""


def read_records(stream: Readable, name: str) -> Iterator[bytes]:
    """Yields the records of one TFRecord file, plain or GZIP.

    Args:
      stream: The file's bytes from its beginning, which tells whether they are compressed.
      name: The file's name, for messages.

    Raises:
      ExamplesError: A checksum is wrong, or the file ends inside a record.
    """
    head = _read_head(stream)
    buffered = io.BufferedReader(_Raw(stream, head), _BUFFER_BYTES)
    reader: IO[bytes] = buffered
    if is_gzip(head):
        reader = io.BufferedReader(gzip.GzipFile(fileobj=buffered), _BUFFER_BYTES)
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


def compressed_records(records: Iterable[bytes]) -> bytes:
    """Returns the content of a GZIP TFRecord file: the same for the same records, since it holds no time."""
    parts = []
    for record in records:
        length = _LENGTH.pack(len(record))
        parts += [length, _CRC.pack(_masked_crc32c(length)), record, _CRC.pack(_masked_crc32c(record))]
    return gzip.compress(b"".join(parts), mtime=0)


def is_gzip(head: bytes) -> bool:
    """Returns whether a TFRecord file that begins with some bytes, at least twelve unless it ends there, is GZIP.

    The first two bytes alone do not tell: they are also those of a plain record of 35,615 bytes.
    """
    is_plain_header = len(head) >= _HEADER_BYTES and _has_valid_length(head[:_HEADER_BYTES])
    return head.startswith(_GZIP_MAGIC) and not is_plain_header


def _read_head(stream: Readable) -> bytes:
    """Reads as many bytes as tell the compression; a stream may give fewer at a time than it is asked for."""
    head = b""
    while len(head) < _HEADER_BYTES and (part := stream.read(_HEADER_BYTES - len(head))):
        head += part
    return head


class _Raw(io.RawIOBase):
    """Makes a stream that only reads, as TensorFlow's and Beam's do, fit for buffering.

    Args:
      stream: The stream.
      head: Bytes that were read from it already.
    """

    def __init__(self, stream: Readable, head: bytes) -> None:
        self._stream = stream
        self._head = head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        data = self._head or self._stream.read(len(view))
        self._head, data = data[len(view) :], data[: len(view)]
        view[: len(data)] = data
        return len(data)


class _BrokenRecordError(Exception):
    """A record's bytes do not add up."""


def _read_record(reader: IO[bytes], header: bytes) -> bytes:
    if len(header) < _HEADER_BYTES:
        raise _BrokenRecordError("the file ends inside a header")
    if not _has_valid_length(header):
        raise _BrokenRecordError("the checksum of its length is wrong")
    (num_bytes,) = _LENGTH.unpack_from(header)
    if num_bytes > _MAX_BYTES:
        raise _BrokenRecordError(f"it has {num_bytes} bytes, where protocol buffers end at 2 GiB")
    data = reader.read(num_bytes + _CRC.size)
    if len(data) < num_bytes + _CRC.size:
        raise _BrokenRecordError("the file ends inside it")
    record = data[:num_bytes]
    if _masked_crc32c(record) != _CRC.unpack_from(data, num_bytes)[0]:
        raise _BrokenRecordError("the checksum of its data is wrong")
    return record


def _has_valid_length(header: bytes) -> bool:
    return bool(_masked_crc32c(header[: _LENGTH.size]) == _CRC.unpack_from(header, _LENGTH.size)[0])


def _masked_crc32c(data: bytes) -> int:
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
