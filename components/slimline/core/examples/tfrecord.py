"""Reads and writes TFRecord files with their checksums, without TensorFlow.

Each record is a little-endian uint64 length, a masked CRC-32C of those eight bytes, the data, and a masked CRC-32C of
the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). Sampling reads whole shards
from streams that Beam opens, and errors name the record: TensorFlow's readers do neither (docs/decisions.md). isal
unpacks GZIP in half the time of zlib.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Protocol, cast

import google_crc32c
from isal import igzip, isal_zlib
from typing_extensions import Buffer

from slimline.errors import ExamplesError

_CHUNK_BYTES = 1 << 18
_MAX_LENGTHS = 4_096
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
    reader: IO[bytes] = io.BufferedReader(_Raw(stream, head), _CHUNK_BYTES)
    if is_gzip(head):
        reader = igzip.IGzipFile(fileobj=reader)
    index = 0
    try:
        for record in _split(reader):
            yield record
            index += 1
    except _BROKEN as error:
        raise ExamplesError(
            f"record {index} of {name} is broken: {error}",
            "TFRecord records with valid checksums, plain or GZIP",
            "write the file again, or take it out of the split",
        ) from None


def _split(reader: IO[bytes]) -> Iterator[bytes]:
    """Cuts records out of large pieces of a file: reading them one by one takes twice as long."""
    # Lengths by header, once its checksum was found right: most files have few different ones.
    lengths: dict[bytes, int] = {}
    data, start = b"", 0
    while True:
        stop = start + _HEADER_BYTES
        if stop > len(data):
            data, start = data[start:] + _read_at_least(reader, _HEADER_BYTES), 0
            if not data:
                return
            if len(data) < _HEADER_BYTES:
                raise _BrokenRecordError("the file ends inside a header")
            continue
        header = data[start:stop]
        num_bytes = lengths.get(header)
        if num_bytes is None:
            num_bytes = _checked_length(header)
            if len(lengths) < _MAX_LENGTHS:
                lengths[header] = num_bytes
        end = stop + num_bytes
        if end + _CRC.size > len(data):
            missing = end + _CRC.size - len(data)
            more = _read_at_least(reader, missing)
            if len(more) < missing:
                raise _BrokenRecordError("the file ends inside it")
            data, start = data[start:] + more, 0
            continue
        record = data[stop:end]
        if masked_crc32c(record) != _CRC.unpack_from(data, end)[0]:
            raise _BrokenRecordError("the checksum of its data is wrong")
        yield record
        start = end + _CRC.size


def _read_at_least(reader: IO[bytes], num_bytes: int) -> bytes:
    """Reads a piece, or as many as it takes for so many bytes; fewer only at the file's end."""
    parts = []
    while num_bytes > 0 and (part := reader.read(_CHUNK_BYTES)):
        parts.append(part)
        num_bytes -= len(part)
    return b"".join(parts)


def _checked_length(header: bytes) -> int:
    if not _has_valid_length(header):
        raise _BrokenRecordError("the checksum of its length is wrong")
    (num_bytes,) = _LENGTH.unpack_from(header)
    if num_bytes > _MAX_BYTES:
        raise _BrokenRecordError(f"it has {num_bytes} bytes, where protocol buffers end at 2 GiB")
    return int(num_bytes)


def compressed_records(records: Iterable[bytes]) -> bytes:
    """Returns the content of a GZIP TFRecord file: the same for the same records, since it holds no time."""
    parts = []
    for record in records:
        length = _LENGTH.pack(len(record))
        parts += [length, _CRC.pack(masked_crc32c(length)), record, _CRC.pack(masked_crc32c(record))]
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


def _has_valid_length(header: bytes) -> bool:
    return bool(masked_crc32c(header[: _LENGTH.size]) == _CRC.unpack_from(header, _LENGTH.size)[0])


def masked_crc32c(data: bytes) -> int:
    """Returns the checksum as the format stores it."""
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


_BROKEN: tuple[type[Exception], ...] = (
    _BrokenRecordError,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    cast(type[Exception], isal_zlib.error),
)
