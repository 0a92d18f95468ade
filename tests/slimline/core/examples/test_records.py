import pytest

from slimline.core.examples.records import check_records, has_records, list_files, open_records
from slimline.errors import ExamplesError
from tests.conftest import write_records

RECORDS = [b"first", b"", b"the third"]


@pytest.fixture
def split(tmp_path):
    """Three files, written in another order than that of their names, plain and compressed."""
    folder = tmp_path / "Split-train"
    write_records(folder / "data-2", RECORDS[2:], compressed=False)
    write_records(folder / "data-0", RECORDS[:2])
    write_records(folder / "data-1", [])
    return folder


def test_files_are_listed_by_name_and_read_in_that_order(split):
    files = list_files(str(split))
    assert files == tuple(str(split / f"data-{number}") for number in range(3))
    records = check_records(files)
    assert (records.files, records.num_records) == (files, 3)
    assert list(open_records(records).as_numpy_iterator()) == RECORDS


def test_a_split_without_files_is_refused(tmp_path):
    (tmp_path / "Split-eval").mkdir()
    for folder in ("Split-eval", "Split-test"):
        with pytest.raises(ExamplesError, match=f"no files in .*{folder}"):
            list_files(str(tmp_path / folder))


def test_files_without_records_are_told_from_others(split, tmp_path):
    assert has_records(list_files(str(split)))
    empty = [str(write_records(tmp_path / name, [], compressed=name == "zipped")) for name in ("plain", "zipped")]
    assert not has_records(empty)
    with pytest.raises(ExamplesError, match="no records in"):
        check_records(empty)


def test_a_broken_record_is_found_wherever_it_is(split):
    path = split / "data-2"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert has_records(list_files(str(split)))
    with pytest.raises(ExamplesError, match=r"record 0 of .*data-2 is broken"):
        check_records(list_files(str(split)))
