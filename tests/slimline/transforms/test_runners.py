import hashlib
import json
import os
from pathlib import Path

import apache_beam as beam
import pytest
from dask import distributed

from slimline.core.sampling.rank import SamplingConfig, Strata
from slimline.names import file_names
from slimline.transforms.overlap import FindSampled, write_found
from slimline.transforms.runner import pinned_arguments
from slimline.transforms.sampling import SampleFiles, source_files, write_sample
from tests.conftest import write_records
from tests.records import tf_example

CONFIG = SamplingConfig(num_records=40, seed=9)
WITH_STRATA = SamplingConfig(
    num_records=40, seed=9, strata=Strata(feature="label", min_records=4), extremes=("number",)
)
NUM_FILES = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    records = [tf_example(label=number % 5, number=number) for number in range(600)]
    return [str(write_records(folder / f"data-{number}", records[number::NUM_FILES])) for number in range(NUM_FILES)]


@pytest.fixture(scope="module")
def dask():
    """Beam's arguments for a Dask cluster of two worker processes on this machine."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        with distributed.Client(cluster) as client:
            client.wait_for_workers(2, timeout=60)
        yield [
            "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
            f"--dask_client_address={cluster.scheduler_address}",
            f"--dask_npartitions={NUM_FILES}",
        ]
        # Beam leaves its clients open.
        for client in tuple(distributed.Client._instances):
            client.close()


def sample(files, folder, arguments, config=CONFIG, before=lambda file: file):
    """Returns the digest of the records' file, and the manifest."""
    with beam.Pipeline(argv=pinned_arguments(arguments)) as pipeline:
        sources = pipeline | "Files" >> beam.Create(source_files(files)) | "Before" >> beam.Map(before)
        sampled = sources | "Sample" >> SampleFiles(config)
        _ = sampled | "Write" >> beam.Map(write_sample, str(folder), config)
    manifest = json.loads((folder / file_names.CALIBRATION_MANIFEST).read_text())
    return hashlib.sha256((folder / file_names.CALIBRATION_RECORDS).read_bytes()).hexdigest(), manifest


def find(files, manifest, path, arguments):
    with beam.Pipeline(argv=pinned_arguments(arguments)) as pipeline:
        found = pipeline | "Files" >> beam.Create(files) | "Find" >> FindSampled(str(manifest))
        _ = found | "Write" >> beam.Map(write_found, str(path))
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def expected(files, tmp_path_factory):
    """The sample on the runner that is part of Beam."""
    folder = tmp_path_factory.mktemp("embedded")
    digest, manifest = sample(files, folder, [])
    assert len(manifest["records"]) == 40
    assert (manifest["num_scanned"], manifest["is_exact"]) == (600, True)
    return digest, manifest, folder / file_names.CALIBRATION_MANIFEST


@pytest.mark.slow
def test_the_sample_is_the_same_in_several_processes_of_beam(files, expected, tmp_path):
    arguments = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    assert sample(files, tmp_path, arguments) == expected[:2]


@pytest.mark.slow
def test_the_sample_is_the_same_on_two_processes_of_dask(files, expected, dask, tmp_path):
    assert sample(files, tmp_path, dask) == expected[:2]


@pytest.mark.slow
def test_strata_and_extremes_are_the_same_on_two_processes_of_dask(files, dask, tmp_path):
    embedded = sample(files, tmp_path / "embedded", [], WITH_STRATA)
    assert sample(files, tmp_path / "dask", dask, WITH_STRATA) == embedded
    assert len(set(embedded[1]["strata"]["num_reserved"])) == 5


def test_sampled_records_are_found_on_two_processes_of_dask(files, expected, dask, tmp_path):
    found = find(files[1:3], expected[2], tmp_path / "dask.json", dask)
    assert found["ranks"]
    assert found == find(files[1:3], expected[2], tmp_path / "embedded.json", [])


def test_a_broken_file_is_named_on_two_processes_of_dask(files, dask, tmp_path):
    broken = write_records(tmp_path / "broken", [b"first", b"second"], compressed=False)
    broken.write_bytes(broken.read_bytes()[:-1])
    _, manifest = sample([*files[2:], str(broken)], tmp_path / "out", dask)
    assert [error[0].partition(":")[0] for error in manifest["errors"]] == [f"record 1 of {broken} is broken"]


def test_a_worker_that_dies_in_the_middle_is_replaced_and_the_sample_is_the_same(files, expected, dask, tmp_path):
    marker = str(tmp_path / "died")
    doomed = files[3]

    # Pickled by value: a worker can't import this module.
    def die_once(file):
        if file.path == doomed and not os.path.exists(marker):  # noqa: PTH110
            with open(marker, "w"):  # noqa: PTH123
                pass
            os._exit(1)
        return file

    assert sample(files, tmp_path / "out", dask, before=die_once) == expected[:2]
    assert Path(marker).exists()
