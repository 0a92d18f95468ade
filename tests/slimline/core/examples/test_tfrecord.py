import gzip
import io
import struct
from functools import partial

import google_crc32c
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.examples.records import check_records, open_records
from slimline.core.examples.tfrecord import read_records
from slimline.errors import ExamplesError
from tests.conftest import write_records

RECORDS = [b"first", b"", b"the third"]
# Header of 12 bytes, the data, and 4 bytes of checksum.
ENDS = [21, 37, 62]


class Trickle(io.BytesIO):
    """Gives few bytes at a time, as a network may."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def read(content):
    return list(read_records(io.BytesIO(content), "some-file"))


def read_until_error(content):
    """Returns the records before the first broken one, and the error's text."""
    records: list[bytes] = []
    with pytest.raises(ExamplesError) as refused:
        records.extend(read_records(io.BytesIO(content), "some-file"))
    return records, str(refused.value)


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Writes records with TensorFlow, and returns the file's bytes."""
    path = tmp_path_factory.mktemp("tfrecord") / "file"
    return lambda records, compressed: write_records(path, records, compressed=compressed).read_bytes()


@pytest.fixture(scope="module")
def plain(write):
    return write(RECORDS, False)


@pytest.fixture(scope="module")
def zipped(write):
    return write(RECORDS, True)


@given(records=st.lists(st.binary(max_size=100)), compressed=st.booleans())
def test_reads_what_tensorflow_wrote(write, records, compressed):
    assert read(write(records, compressed)) == records


@pytest.mark.parametrize("compressed", [False, True])
def test_records_larger_than_the_buffer_are_read(write, compressed):
    records = [bytes([number]) * 300_000 for number in range(3)]
    assert read(write(records, compressed)) == records


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("most", [1, 2, 3, 11, 13])
def test_a_stream_that_gives_few_bytes_at_a_time_is_read(write, compressed, most):
    assert list(read_records(Trickle(write(RECORDS, compressed), most), "some-file")) == RECORDS


@pytest.mark.parametrize("compressed", [False, True])
def test_a_plain_file_that_begins_like_a_zipped_one_is_read(tmp_path, compressed):
    """A record of 35,615 bytes: its length begins with the two bytes that mark GZIP."""
    records = [b"a" * 0x8B1F, b"second"]
    path = write_records(tmp_path / "file", records, compressed=compressed)
    assert path.read_bytes().startswith(b"\x1f\x8b")
    assert read(path.read_bytes()) == records
    assert list(open_records(check_records([str(path)])).as_numpy_iterator()) == records


def test_a_zipped_file_of_several_members_is_read(plain):
    assert read(b"".join(gzip.compress(plain[start:end]) for start, end in [(0, 21), (21, 30), (30, 62)])) == RECORDS


@pytest.mark.parametrize("offset", range(ENDS[-1]))
def test_a_flipped_bit_is_refused_and_named_with_its_record(plain, offset):
    index = sum(end <= offset for end in ENDS)
    for bit in range(8):
        broken = bytearray(plain)
        broken[offset] ^= 1 << bit
        records, message = read_until_error(bytes(broken))
        assert records == RECORDS[:index]
        assert f"record {index} of some-file is broken" in message


def test_a_flipped_bit_in_a_zipped_file_never_gives_other_records(zipped):
    for offset in range(len(zipped)):
        for bit in range(8):
            broken = bytearray(zipped)
            broken[offset] ^= 1 << bit
            try:
                records = read(bytes(broken))
            except ExamplesError:
                continue
            # The header's time stamp and name of the system, and the bits that fill up the last byte, carry no data.
            assert records == RECORDS
            assert offset < 10 or offset == len(zipped) - 9


@pytest.mark.parametrize("size", range(ENDS[-1]))
def test_a_file_that_ends_inside_a_record_is_refused(plain, size):
    index = sum(end <= size for end in ENDS)
    if size in (0, *ENDS):
        assert read(plain[:size]) == RECORDS[:index]
    else:
        records, message = read_until_error(plain[:size])
        assert records == RECORDS[:index]
        assert f"record {index} of some-file is broken: the file ends inside" in message


def test_a_zipped_file_that_ends_anywhere_is_refused(zipped):
    for size in range(1, len(zipped)):
        read_until_error(zipped[:size])


@pytest.mark.parametrize(
    "content", [b"label,pixel\n0,1\n", b"\x1f\x8b", bytes(100), struct.pack("<Q", 2**62) + bytes(4)]
)
def test_a_file_of_another_kind_is_refused(content):
    assert read_until_error(content)[0] == []


@pytest.mark.parametrize("num_bytes", [2**31 + 1, 2**62, 2**64 - 1])
def test_a_length_that_no_record_has_is_refused_although_its_checksum_is_right(plain, num_bytes):
    length = struct.pack("<Q", num_bytes)
    crc = google_crc32c.value(length)
    header = length + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)
    records, message = read_until_error(plain + header + b"data")
    assert records == RECORDS
    assert f"record 3 of some-file is broken: it has {num_bytes} bytes" in message


def test_tensorflow_refuses_what_is_refused_here(plain, tmp_path):
    """The checksums are TensorFlow's: both refuse the same byte."""
    broken = bytearray(plain)
    broken[14] ^= 1
    (tmp_path / "file").write_bytes(broken)
    for reader in (partial(read, bytes(broken)), lambda: list(tf.data.TFRecordDataset(str(tmp_path / "file")))):
        with pytest.raises((ExamplesError, tf.errors.DataLossError)):
            reader()
