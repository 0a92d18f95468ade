import json

import pytest

from slimline import CalibrationDataset, SamplingConfig, names
from slimline.calibration_sampler.executor import CalibrationSamplerExecutor
from slimline.core.sampling import bottom_k, record_digest
from slimline.core.tfrecord import read_records
from slimline.errors import ExamplesError
from tests.artifacts import examples_artifact, output
from tests.conftest import write_records


def sample(examples, folder, **options):
    calibration = output(CalibrationDataset, folder)
    properties = {"config": SamplingConfig(**options).to_json()}
    CalibrationSamplerExecutor().Do({"examples": [examples]}, {"calibration": [calibration]}, properties)
    return calibration


def read_all(files):
    records = []
    for file in files:
        with file.open("rb") as stream:
            records += list(read_records(stream, file.name))
    return records


def test_the_sample_is_the_bottom_k_and_the_manifest_lists_it(examples_folder, tmp_path):
    calibration = sample(examples_artifact(examples_folder), tmp_path / "out", num_records=50, seed=7)
    expected = [record for _, record in bottom_k(read_all(sorted(examples_folder.glob("Split-train/*"))), 50, 7)]
    assert read_all([tmp_path / "out" / names.CALIBRATION_RECORDS_FILE]) == expected
    manifest = json.loads((tmp_path / "out" / names.CALIBRATION_MANIFEST_FILE).read_text())
    assert [record["digest"] for record in manifest["records"]] == [record_digest(record) for record in expected]
    assert (manifest["num_scanned"], manifest["seed"], manifest["split"]) == (400, 7, "train")
    assert calibration.get_int_custom_property(names.NUM_RECORDS) == 50
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"records.tfrecord.gz", "manifest.json"}


def test_fewer_records_than_asked_for_are_an_error_and_leave_nothing(examples_folder, tmp_path):
    with pytest.raises(ExamplesError, match=r"400 distinct record"):
        sample(examples_artifact(examples_folder), tmp_path / "out", num_records=401)
    assert not list((tmp_path / "out").iterdir())


def test_fewer_records_than_asked_for_are_taken_when_that_is_wanted(examples_folder, tmp_path):
    calibration = sample(examples_artifact(examples_folder), tmp_path / "out", num_records=500, shortage="take_all")
    assert calibration.get_int_custom_property(names.NUM_RECORDS) == 400


def test_a_broken_record_is_named_with_its_file(tmp_path):
    file = write_records(tmp_path / "examples" / "Split-train" / "data", [b"first", b"second"], compressed=False)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ExamplesError, match=r"record 1 of .*data is broken"):
        sample(examples_artifact(tmp_path / "examples", ("train",)), tmp_path / "out", num_records=1)
    assert not list((tmp_path / "out").iterdir())


def test_an_empty_split_is_refused_before_any_work(tmp_path):
    for split in ("train", "eval"):
        write_records(tmp_path / "examples" / f"Split-{split}" / "data.gz", [b"record"] if split == "train" else [])
    with pytest.raises(ExamplesError, match="no record in split 'eval'"):
        sample(examples_artifact(tmp_path / "examples"), tmp_path / "out", num_records=1)
    assert not (tmp_path / "out").exists()
