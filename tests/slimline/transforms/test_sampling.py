import dataclasses
import functools
import hashlib
import json
import math
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.sampling.rank import ALGORITHM, SamplingConfig, Strata, bottom_k, record_digest, record_rank
from slimline.core.sampling.sketch import Sketch
from slimline.errors import ExamplesError
from slimline.names import file_names
from slimline.transforms.sampling import (
    FileSummary,
    MergeParts,
    Part,
    SampleFiles,
    SourceFile,
    _Collector,
    sample_file,
    source_files,
    write_sample,
)
from tests.conftest import write_records
from tests.records import tf_example

RECORDS = [f"record {number:02}".encode() for number in range(90)]
CONFIG = SamplingConfig(num_records=10, seed=3)
SAMPLE = tuple(bottom_k(RECORDS, 10, 3))
# Label 4 is rare, and its records lie side by side.
LABELLED = [tf_example(label=4 if number >= 86 else number % 4, size=float(number % 37)) for number in range(90)]
LABELLED_CONFIG = SamplingConfig(
    num_records=20, strata=Strata(feature="label", min_records=3), extremes=("size",), seed=1
)
ERRORS = [ExamplesError(f"record {number} of a file is broken", "", "") for number in range(4)]


def write_shards(folder, num_shards, records=RECORDS, *, compressed=True, in_blocks=False):
    size = -(-len(records) // num_shards)
    shards = [
        records[shard * size : (shard + 1) * size] if in_blocks else records[shard::num_shards]
        for shard in range(num_shards)
    ]
    return [
        str(write_records(folder / f"data-{number:03}", shard, compressed=compressed))
        for number, shard in enumerate(shards)
    ]


def break_file(file):
    content = bytearray(Path(file).read_bytes())
    content[-1] ^= 1
    Path(file).write_bytes(content)


def digest_of(file):
    return "sha256:" + hashlib.sha256(Path(file).read_bytes()).hexdigest()


def merged(files, config, margin=1.0):
    """Returns the part that covers files, without Beam."""
    merge = MergeParts(config)
    return functools.reduce(
        merge.add_input,
        (sample_file(file, config, margin) for file in source_files(files)),
        merge.create_accumulator(),
    )


def run(files, config, folder, margin=1.0):
    """Draws a sample with Beam, and returns the bytes of its records and the manifest."""
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        sampled = pipeline | beam.Create(source_files(files)) | SampleFiles(config, margin)
        _ = sampled | beam.Map(write_sample, str(folder), config)
    content = (folder / file_names.CALIBRATION_RECORDS).read_bytes()
    return content, json.loads((folder / file_names.CALIBRATION_MANIFEST).read_text())


def read(path):
    return list(tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator())


def test_beam_merges_the_files_as_plain_python_does(tmp_path):
    files = write_shards(tmp_path, 3)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        sampled = pipeline | beam.Create(source_files(files)) | SampleFiles(CONFIG)
        assert_that(sampled, equal_to([merged(files, CONFIG)]))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("num_shards", [1, 2, 7, 90])
def test_the_sample_is_the_same_however_the_records_are_split(tmp_path, num_shards, compressed):
    part = merged(write_shards(tmp_path, num_shards, compressed=compressed), CONFIG, math.inf)
    assert part.overall == Sketch(10, SAMPLE)
    assert sum(file.num_records for file in part.files) == 90
    assert part.is_exact


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_is_described_by_its_bytes_on_the_disk(tmp_path, compressed):
    (file,) = write_shards(tmp_path, 1, compressed=compressed)
    part = sample_file(SourceFile(file, 1.0), CONFIG)
    assert part == Part(Sketch(10, SAMPLE), files=(FileSummary(file, digest_of(file), 90),))


def test_bytes_behind_the_last_record_of_a_zipped_file_are_in_its_digest(tmp_path):
    (file,) = write_shards(tmp_path, 1)
    with Path(file).open("ab") as stream:
        stream.write(bytes(1 << 20))
    assert sample_file(SourceFile(file, 1.0), CONFIG).files == (FileSummary(file, digest_of(file), 90),)


def test_a_broken_file_gives_no_records(tmp_path):
    (file,) = write_shards(tmp_path, 1, compressed=False)
    break_file(file)
    part = sample_file(SourceFile(file, 1.0), CONFIG)
    assert (part.overall, part.files, len(part.errors)) == (Sketch(10), (), 1)
    assert isinstance(part.errors[0], ExamplesError)


def test_a_broken_file_is_reported_once_from_the_worker_as_the_error_itself(tmp_path):
    files = write_shards(tmp_path, 3, compressed=False)
    break_file(files[1])
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        sampled = pipeline | beam.Create(source_files(files)) | SampleFiles(CONFIG)
        errors = sampled | beam.FlatMap(lambda part: part.errors)
        texts = errors | beam.Map(lambda error: (type(error).__name__, error.found.partition(": ")[0]))
        assert_that(texts, equal_to([("ExamplesError", f"record 29 of {files[1]} is broken")]))


def test_an_empty_file_has_no_records(tmp_path):
    file = write_records(tmp_path / "data", [])
    part = sample_file(SourceFile(str(file), 1.0), CONFIG)
    assert (part.overall, part.files[0].num_records, part.is_exact) == (Sketch(10), 0, True)


def test_shares_are_those_of_the_bytes(tmp_path):
    files = [str(tmp_path / name) for name in ("small", "large")]
    for file, size in zip(files, (10, 30), strict=True):
        Path(file).write_bytes(bytes(size))
    assert source_files(files) == [SourceFile(files[0], 0.25), SourceFile(files[1], 0.75)]
    assert sum(file.share for file in source_files(list(reversed(files)))) == pytest.approx(1)


def test_an_empty_file_has_a_share_too(tmp_path):
    (tmp_path / "empty").touch()
    assert source_files([str(tmp_path / "empty")]) == [SourceFile(str(tmp_path / "empty"), 1.0)]


@pytest.mark.parametrize(("num_shards", "margin"), [(1, math.inf), (7, 1.0), (30, math.inf)])
def test_the_records_file_has_the_same_bytes_whatever_the_files(tmp_path, num_shards, margin):
    expected, _ = run(write_shards(tmp_path / "one", 1), CONFIG, tmp_path / "expected")
    content, manifest = run(write_shards(tmp_path / "many", num_shards), CONFIG, tmp_path / "out", margin)
    assert content == expected
    assert read(tmp_path / "out" / file_names.CALIBRATION_RECORDS) == [record for _, record in SAMPLE]
    assert manifest["is_exact"]


def test_a_threshold_that_leaves_out_too_much_is_told(tmp_path):
    files = write_shards(tmp_path / "in", 3)
    _, manifest = run(files, CONFIG, tmp_path / "few", margin=1e-6)
    assert (manifest["is_exact"], manifest["errors"]) == (False, [])
    _, manifest = run(files, CONFIG, tmp_path / "all", margin=math.inf)
    assert manifest["is_exact"]


@pytest.mark.parametrize("margin", [0.01, 0.1, 0.3, 0.4, 0.5, 1.0, 64.0, math.inf])
@pytest.mark.parametrize("records", [RECORDS, RECORDS * 3, RECORDS[:5]], ids=["distinct", "repeated", "few"])
def test_with_any_margin_the_sample_is_exact_or_said_not_to_be(tmp_path, records, margin):
    part = merged(write_shards(tmp_path, 3, records, in_blocks=True), CONFIG, margin)
    expected = tuple(bottom_k(records, 10, 3))
    assert part.is_exact == (part.overall.records == expected)
    assert part.is_exact or margin < math.inf


def test_records_repeated_in_every_file_need_another_margin(tmp_path):
    files = [str(write_records(tmp_path / f"data-{number}", RECORDS)) for number in range(10)]
    first, second = merged(files, CONFIG, 1.0), merged(files, CONFIG, 64.0)
    assert (first.is_exact, second.is_exact) == (False, True)
    assert second.overall == Sketch(10, SAMPLE)


def test_many_files_send_about_as_many_records_as_are_sampled(tmp_path):
    config, num_shards, k = SamplingConfig(num_records=200), 40, 200
    records = [f"record {number:05}".encode() for number in range(20_000)]
    files = source_files(write_shards(tmp_path, num_shards, records, compressed=False))
    parts = [sample_file(file, config) for file in files]
    wanted = k + 6 * math.sqrt(k)
    sent = sum(len(part.overall.records) for part in parts)
    assert k < sent < wanted + 4 * math.sqrt(wanted)
    whole = MergeParts(config).merge_accumulators(parts)
    assert whole.is_exact
    assert list(whole.overall.records) == bottom_k(records, k, 0)
    assert sum(len(sample_file(file, config, math.inf).overall.records) for file in files) == num_shards * k


def expected_of_labelled():
    """Returns the sample by sorting: extremes, then three of each label, then the smallest ranks."""
    ordered = sorted(LABELLED, key=lambda record: record_rank(record, 1))
    parsed = {record: tf.train.Example.FromString(record).features.feature for record in ordered}
    sizes = {record: parsed[record]["size"].float_list.value[0] for record in ordered}
    labels = {record: parsed[record]["label"].int64_list.value[0] for record in ordered}
    reasons: dict[bytes, list[str]] = {min(ordered, key=lambda record: sizes[record]): ["smallest size"]}
    reasons.setdefault(max(ordered, key=lambda record: sizes[record]), []).append("largest size")
    for label in range(5):
        for record in [record for record in ordered if labels[record] == label][:3]:
            reasons.setdefault(record, []).append(f"stratum {label}")
    for record in ordered:
        if len(reasons) < 20:
            reasons.setdefault(record, [])
    return {record: reasons[record] for record in ordered if record in reasons}


@pytest.mark.parametrize(
    ("num_shards", "in_blocks", "margin"),
    [(1, False, 1.0), (5, True, math.inf), (5, False, 64.0), (30, True, math.inf)],
)
def test_strata_and_extremes_are_in_the_sample_whatever_the_files(tmp_path, num_shards, in_blocks, margin):
    files = write_shards(tmp_path / "in", num_shards, LABELLED, in_blocks=in_blocks)
    _, manifest = run(files, LABELLED_CONFIG, tmp_path / "out", margin)
    expected = expected_of_labelled()
    assert read(tmp_path / "out" / file_names.CALIBRATION_RECORDS) == list(expected)
    assert [record.get("reserved", []) for record in manifest["records"]] == list(expected.values())
    assert manifest["strata"] == {
        "feature": "label",
        "min_records": 3,
        "num_reserved": {"0": 3, "1": 3, "2": 3, "3": 3, "4": 3},
    }
    assert manifest["is_exact"]


def test_a_stratum_that_was_thinned_too_much_makes_the_whole_inexact(tmp_path):
    records = [tf_example(label=0, number=number) for number in range(2_000)]
    config = SamplingConfig(num_records=100, strata=Strata(feature="label", min_records=50))
    (file,) = write_shards(tmp_path, 1, records, compressed=False)
    part = sample_file(SourceFile(file, 1e-9), config)
    assert not part.strata["0"].is_exact
    complete = sample_file(SourceFile(file, 1.0), config)
    assert complete.is_exact
    assert not dataclasses.replace(complete, strata=part.strata).is_exact
    assert not dataclasses.replace(complete, overall=part.overall).is_exact


@pytest.mark.parametrize(
    ("options", "found", "hint"),
    [
        (
            {"strata": {"feature": "lable"}},
            "a record without a value of 'lable', which is wanted for strata",
            "'label'",
        ),
        ({"extremes": ("sizes",)}, "a record without a value of 'sizes', which is wanted for extremes", "'size'"),
        ({"strata": {"feature": "size"}}, "a float of 'size' in a record", "another feature"),
        ({"num_records": 4, "strata": {"feature": "label"}}, "more than 4 values of feature 'label'", "num_records"),
    ],
)
def test_what_strata_and_extremes_lack_is_named_with_record_and_file(tmp_path, options, found, hint):
    records = [tf_example(label=number, size=0.5) for number in range(5)]
    file = str(write_records(tmp_path / "data", records))
    config = SamplingConfig(**{"num_records": 50, **options})
    (error,) = sample_file(SourceFile(file, 1.0), config).errors
    place = 4 if "num_records" in options else 0
    assert error.found == f"{found} (record {place} of {file})"
    assert hint in error.remedy


def test_a_label_that_is_missing_in_one_record_is_named_through_beam(tmp_path):
    records = [tf_example(label=1), tf_example(label=2), tf_example(lable=3)]
    file = str(write_records(tmp_path / "data", records))
    _, manifest = run([file], SamplingConfig(num_records=2, strata=Strata(feature="label")), tmp_path / "out")
    ((found, expected, remedy),) = manifest["errors"]
    assert found == f"a record without a value of 'label', which is wanted for strata (record 2 of {file})"
    assert "this one has lable" in expected
    assert "Did you mean 'lable'?" in remedy


def test_records_that_are_no_examples_are_sampled_as_long_as_no_feature_is_asked_for(tmp_path):
    file = str(write_records(tmp_path / "data", [b"text"]))
    assert not sample_file(SourceFile(file, 1.0), CONFIG).errors
    (error,) = sample_file(SourceFile(file, 1.0), LABELLED_CONFIG).errors
    assert f"no tf.Example: b'text' (record 0 of {file})" in error.found


def test_more_strata_in_all_files_than_places_come_back_as_an_error(tmp_path):
    files = write_shards(tmp_path / "in", 5, [tf_example(label=number) for number in range(10)])
    _, manifest = run(files, SamplingConfig(num_records=4, strata=Strata(feature="label")), tmp_path / "out")
    assert [error[0] for error in manifest["errors"]] == ["more than 4 values of feature 'label'"]
    assert manifest["records"] == []


LABELS = st.integers(0, 4)


@given(st.lists(st.lists(st.tuples(LABELS, st.integers(-3, 3)), max_size=6), max_size=5), st.data())
def test_parts_merge_alike_in_any_order_and_grouping(shards, data):
    config = SamplingConfig(num_records=9, strata=Strata(feature="label"), extremes=("size",))
    merge = MergeParts(config)
    parts = [part_of(shard, number, config) for number, shard in enumerate(shards)]
    whole = merge.merge_accumulators(parts)
    shuffled = data.draw(st.permutations(parts))
    groups, cut = [], data.draw(st.integers(0, len(parts)))
    for group in (shuffled[:cut], shuffled[cut:]):
        accumulator = merge.create_accumulator()
        for part in group:
            accumulator = merge.add_input(accumulator, part)
        groups.append(accumulator)
    assert merge.extract_output(merge.merge_accumulators(groups)) == whole
    records = [tf_example(label=label, size=size) for shard in shards for label, size in shard]
    assert list(whole.overall.records) == bottom_k(records, 9, 0)
    assert set(whole.strata) == {str(label) for shard in shards for label, _ in shard}


def part_of(shard, number, config):
    """Returns what is kept of records that need no file."""
    collector = _Collector(config)
    for label, size in shard:
        collector.add(tf_example(label=label, size=size))
    return collector.part(FileSummary(f"file {number}", "", len(shard)), 1.0, 1.0)


@given(st.permutations(ERRORS), st.integers(0, 4), st.integers(0, 4))
def test_no_error_is_lost_in_a_merge_and_they_are_told_in_one_order(errors, start, end):
    merge = MergeParts(CONFIG)
    groups = [errors[: min(start, end)], errors[min(start, end) : max(start, end)], errors[max(start, end) :]]
    parts = [merge.merge_accumulators(Part(Sketch(10), errors=(error,)) for error in group) for group in groups]
    assert merge.merge_accumulators(parts).errors == tuple(ERRORS)


def test_records_and_manifest_are_written_in_order_of_rank(tmp_path):
    folder = tmp_path / "new" / "folder"
    files = (
        FileSummary("gs://some/b", "sha256:" + "2" * 64, 60),
        FileSummary("gs://some/a", "sha256:" + "1" * 64, 340),
    )
    write_sample(Part(Sketch(10, SAMPLE), files=files), str(folder), CONFIG)
    written = read(folder / file_names.CALIBRATION_RECORDS)
    assert written == [record for _, record in SAMPLE]
    listing = f"{'1' * 64}  a\n{'2' * 64}  b\n"
    assert json.loads((folder / file_names.CALIBRATION_MANIFEST).read_text()) == {
        "schema_version": 2,
        "algorithm": ALGORITHM,
        "seed": 3,
        "split": "train",
        "num_requested": 10,
        "num_records": 10,
        "num_scanned": 400,
        "num_distinct_estimate": Sketch(10, SAMPLE).estimate_distinct(),
        "is_exact": True,
        "source_digest": "sha256:" + hashlib.sha256(listing.encode()).hexdigest(),
        "files": [
            {"path": "gs://some/b", "digest": "sha256:" + "2" * 64, "num_records": 60},
            {"path": "gs://some/a", "digest": "sha256:" + "1" * 64, "num_records": 340},
        ],
        "strata": None,
        "records": [{"rank": record_rank(record, 3).hex(), "digest": record_digest(record)} for record in written],
        "errors": [],
    }


def test_an_error_comes_back_from_the_manifest(tmp_path):
    error = ExamplesError("this", "that", "do")
    write_sample(Part(Sketch(10), errors=(error,)), str(tmp_path), CONFIG)
    manifest = json.loads((tmp_path / file_names.CALIBRATION_MANIFEST).read_text())
    assert [str(ExamplesError(*parts)) for parts in manifest["errors"]] == [str(error)]
