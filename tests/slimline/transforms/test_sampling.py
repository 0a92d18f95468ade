import json

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from slimline import names
from slimline.core.sampling import ALGORITHM, SamplingConfig, bottom_k, rank, record_digest
from slimline.errors import ExamplesError
from slimline.transforms.sampling import MergeParts, Part, SampleFiles, sample_file, write_sample
from tests.conftest import write_records

RECORDS = [f"record {number}".encode() for number in range(90)]
CONFIG = SamplingConfig(num_records=10, seed=3)
SAMPLE = tuple(bottom_k(RECORDS, 10, 3))
ERRORS = [ExamplesError(f"record {number} of a file is broken", "", "") for number in range(4)]
PARTS = st.lists(
    st.builds(
        lambda records, scanned: Part(tuple(bottom_k(records, 5, 0)), scanned),
        st.lists(st.binary(max_size=2), max_size=10),
        st.integers(0, 100),
    ),
    max_size=6,
)


def write_shards(folder, num_shards, *, compressed=True):
    return [
        str(write_records(folder / f"data-{shard}", RECORDS[shard::num_shards], compressed=compressed))
        for shard in range(num_shards)
    ]


def break_file(file):
    content = bytearray(tf.io.gfile.GFile(file, "rb").read())
    content[-1] ^= 1
    with tf.io.gfile.GFile(file, "wb") as stream:
        stream.write(bytes(content))


@pytest.mark.parametrize("num_shards", [1, 7])
def test_the_sample_on_beam_is_that_of_plain_python_however_the_records_are_split(tmp_path, num_shards):
    files = write_shards(tmp_path, num_shards)
    with beam.Pipeline() as pipeline:
        sampled = pipeline | beam.Create(files) | SampleFiles(CONFIG)
        assert_that(sampled, equal_to([Part(SAMPLE, 90)]))


def test_a_broken_file_is_reported_once_from_the_worker_as_the_error_itself(tmp_path):
    files = write_shards(tmp_path, 3, compressed=False)
    break_file(files[1])
    with beam.Pipeline() as pipeline:
        errors = pipeline | beam.Create(files) | SampleFiles(CONFIG) | beam.FlatMap(lambda part: part.errors)
        texts = errors | beam.Map(lambda error: (type(error).__name__, error.found.partition(": ")[0]))
        assert_that(texts, equal_to([("ExamplesError", f"record 29 of {files[1]} is broken")]))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_gives_its_own_sample_and_the_number_of_its_records(tmp_path, compressed):
    (file,) = write_shards(tmp_path, 1, compressed=compressed)
    assert sample_file(file, 10, 3) == Part(SAMPLE, 90)


def test_a_broken_file_gives_no_records(tmp_path):
    (file,) = write_shards(tmp_path, 1, compressed=False)
    break_file(file)
    part = sample_file(file, 10, 3)
    assert (part.records, part.num_scanned, len(part.errors)) == ((), 0, 1)
    assert isinstance(part.errors[0], ExamplesError)


@given(PARTS, st.data())
def test_parts_merge_alike_in_any_order_and_grouping(parts, data):
    merge = MergeParts(5)
    whole = merge.merge_accumulators(parts)
    shuffled = data.draw(st.permutations(parts))
    groups, cut = [], data.draw(st.integers(0, len(parts)))
    for group in (shuffled[:cut], shuffled[cut:]):
        accumulator = merge.create_accumulator()
        for part in group:
            accumulator = merge.add_input(accumulator, part)
        groups.append(accumulator)
    assert merge.extract_output(merge.merge_accumulators(groups)) == whole
    records = {record for part in parts for _, record in part.records}
    assert list(whole.records) == bottom_k(records, 5, 0)
    assert whole.num_scanned == sum(part.num_scanned for part in parts)


@given(st.permutations(ERRORS), st.integers(0, 4), st.integers(0, 4))
def test_no_error_is_lost_in_a_merge_and_they_are_told_in_one_order(errors, start, end):
    merge = MergeParts(5)
    groups = [errors[: min(start, end)], errors[min(start, end) : max(start, end)], errors[max(start, end) :]]
    parts = [merge.merge_accumulators(Part(errors=(error,)) for error in group) for group in groups]
    assert merge.merge_accumulators(parts).errors == tuple(ERRORS)


def test_records_and_manifest_are_written_in_order_of_rank(tmp_path):
    folder = tmp_path / "new" / "folder"
    write_sample(Part(SAMPLE, 90), str(folder), CONFIG, ("a", "b"))
    dataset = tf.data.TFRecordDataset(str(folder / names.CALIBRATION_RECORDS_FILE), compression_type="GZIP")
    written = list(dataset.as_numpy_iterator())
    assert written == [record for _, record in SAMPLE]
    assert json.loads((folder / names.CALIBRATION_MANIFEST_FILE).read_text()) == {
        "schema_version": 1,
        "algorithm": ALGORITHM,
        "seed": 3,
        "split": "train",
        "num_requested": 10,
        "num_records": 10,
        "num_scanned": 90,
        "files": ["a", "b"],
        "records": [{"rank": rank(record, 3).hex(), "digest": record_digest(record)} for record in written],
        "errors": [],
    }


def test_an_error_comes_back_from_the_manifest(tmp_path):
    error = ExamplesError("this", "that", "do")
    write_sample(Part(errors=(error,)), str(tmp_path), CONFIG, ("a",))
    manifest = json.loads((tmp_path / names.CALIBRATION_MANIFEST_FILE).read_text())
    assert [str(ExamplesError(*parts)) for parts in manifest["errors"]] == [str(error)]
