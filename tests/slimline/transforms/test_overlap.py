import json

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from slimline.core.sampling.rank import SamplingConfig, bottom_k, record_rank
from slimline.core.sampling.sketch import Sketch
from slimline.errors import ExamplesError
from slimline.names import file_names
from slimline.transforms.overlap import FindSampled, find_in_file, union, write_found
from slimline.transforms.sampling import Part, write_sample
from tests.conftest import write_records

RECORDS = [f"record {number}".encode() for number in range(30)]
CONFIG = SamplingConfig(num_records=10, seed=5)
SAMPLE = bottom_k(RECORDS, 10, 5)
SAMPLED = [record for _, record in SAMPLE]
OTHERS = [record for record in RECORDS if record not in SAMPLED]


def ranks(*records):
    return frozenset(record_rank(record, 5).hex() for record in records)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(Part(Sketch(10, tuple(SAMPLE))), str(folder), CONFIG)
    return str(folder / file_names.CALIBRATION_MANIFEST)


def write(path, records, *, compressed=True):
    return str(write_records(path, records, compressed=compressed))


def write_broken(path):
    content = bytearray(write_records(path, SAMPLED[:2], compressed=False).read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_sampled_records_are_found_in_a_file_once_each(tmp_path, manifest, compressed):
    file = write(tmp_path / "file", [OTHERS[0], SAMPLED[3], SAMPLED[3], SAMPLED[7]], compressed=compressed)
    assert find_in_file(file, manifest) == (ranks(SAMPLED[3], SAMPLED[7]), ())


def test_other_records_are_not_found(tmp_path, manifest):
    assert find_in_file(write(tmp_path / "file", OTHERS), manifest) == (frozenset(), ())


def test_a_broken_file_is_an_error_and_gives_no_ranks(tmp_path, manifest):
    found, errors = find_in_file(write_broken(tmp_path / "file"), manifest)
    assert found == frozenset()
    assert [error.found.partition(":")[0] for error in errors] == [f"record 1 of {tmp_path}/file is broken"]


def test_a_union_has_everything_and_its_errors_in_one_order():
    first, second = ExamplesError("a", "", ""), ExamplesError("b", "", "")
    parts = [(frozenset({"1"}), (second,)), (frozenset({"1", "2"}), ()), (frozenset(), (first,))]
    assert union(parts) == union(reversed(parts)) == (frozenset({"1", "2"}), (first, second))
    assert union([union(parts[:1]), union(parts[1:])]) == union(parts)
    assert union([]) == (frozenset(), ())


def test_beam_finds_what_is_in_any_of_the_files(tmp_path, manifest):
    files = [
        write(tmp_path / "1", [SAMPLED[0], *OTHERS]),
        write(tmp_path / "2", OTHERS),
        write(tmp_path / "3", [SAMPLED[9], SAMPLED[0]], compressed=False),
    ]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.Create(files) | FindSampled(manifest)
        assert_that(found, equal_to([(ranks(SAMPLED[0], SAMPLED[9]), ())]))


def test_a_broken_file_is_reported_once_from_the_worker_as_the_error_itself(tmp_path, manifest):
    files = [write(tmp_path / "1", [SAMPLED[0]]), write_broken(tmp_path / "2")]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        errors = pipeline | beam.Create(files) | FindSampled(manifest) | beam.FlatMap(lambda found: found[1])
        texts = errors | beam.Map(lambda error: (type(error).__name__, error.found.partition(": ")[0]))
        assert_that(texts, equal_to([("ExamplesError", f"record 1 of {files[1]} is broken")]))


def test_what_was_found_comes_back_from_its_file(tmp_path):
    error = ExamplesError("this", "that", "do")
    write_found((frozenset({"b", "a"}), (error,)), str(tmp_path / "new" / "found.json"))
    content = json.loads((tmp_path / "new" / "found.json").read_text())
    assert content["ranks"] == ["a", "b"]
    assert [str(ExamplesError(*parts)) for parts in content["errors"]] == [str(error)]
