import os

import apache_beam as beam
import numpy as np
import pytest

from slimline import ExamplesConfig, GateConfig, Threshold
from slimline.core.evaluation.accumulators import Accumulator
from slimline.core.evaluation.slices import SliceBy
from slimline.core.models.saving import save_keras_model, write_tflite
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.errors import ModelError
from slimline.transforms import evaluation as evaluations
from slimline.transforms.evaluation import (
    EvaluateFiles,
    EvaluationJob,
    close_evaluators,
    local_copy,
    open_evaluator,
    read_candidate,
    read_counts,
    write_counts,
)
from slimline.transforms.runner import pinned_arguments
from tests.conftest import SCHEMA, example, write_records

CONFIG = GateConfig(
    thresholds=(Threshold(metric="accuracy", max_drop=0.05),),
    metrics=("f1", "agreement"),
    slices=(SliceBy(features=("digit",)),),
)


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    save_keras_model(trained, folder / "baseline")
    for scheme in ("float32", "float16"):
        write_tflite(quantize(trained, QuantizationConfig(scheme=scheme)), folder / scheme)
    (folder / "schema.pbtxt").write_text(SCHEMA)
    return folder


@pytest.fixture(scope="module")
def job(folder):
    candidates = tuple((name, name, str(folder / name)) for name in ("float32", "float16", "missing"))
    data = ExamplesConfig(label_key="digit").to_json()
    return EvaluationJob(str(folder / "baseline"), candidates, str(folder / "schema.pbtxt"), CONFIG.to_json(), data)


@pytest.fixture(scope="module")
def records(digits):
    return [example(image, int(label)) for image, label in zip(digits[0][:240], digits[1][:240], strict=True)]


@pytest.fixture(autouse=True)
def _closed():
    yield
    close_evaluators()


def write(folder, records, number):
    return [str(write_records(folder / f"data-{part}", records[part::number])) for part in range(number)]


def evaluate(job, files, path, arguments=()):
    with beam.Pipeline(argv=pinned_arguments(arguments)) as pipeline:
        counted = pipeline | "Files" >> beam.Create(files) | "Evaluate" >> EvaluateFiles(job)
        _ = counted | "Write" >> beam.Map(write_counts, str(path))
    return read_counts(str(path))


def plain(counted):
    keys = {name: sorted(np.concatenate(parts).tolist()) for name, parts in counted.keys.items()}
    return counted.num_examples, keys, counted.models


@pytest.fixture(scope="module")
def expected(job, records, tmp_path_factory):
    """What is counted on the runner that is part of Beam, of one file."""
    folder = tmp_path_factory.mktemp("expected")
    return plain(evaluate(job, write(folder, records, 1), folder / "counted"))


def test_everything_is_counted_once(expected, records):
    numbers, keys, models = expected
    assert numbers["overall"] == len(records) == len(keys["overall"])
    assert set(models) == {"", "float32", "float16", "missing"}
    assert models["missing"].metrics == {}
    assert models["missing"].failure.startswith("no file ")
    assert models["float32"].failure == ""
    assert sum(models["float32"].metrics["overall", "accuracy"].joint.by_code.values()) == len(records)


def test_the_counts_are_the_same_however_the_files_are_sharded(job, records, expected, tmp_path):
    files = [*write(tmp_path, records, 5), str(write_records(tmp_path / "empty", []))]
    assert plain(evaluate(job, files, tmp_path / "counted")) == expected


@pytest.mark.slow
def test_the_counts_are_the_same_in_several_processes_of_beam(job, records, expected, tmp_path):
    arguments = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    assert plain(evaluate(job, write(tmp_path, records, 4), tmp_path / "counted", arguments)) == expected


def test_a_broken_file_is_reported_once_and_the_others_are_counted(job, records, tmp_path):
    files = write(tmp_path, records, 3)
    broken = write_records(tmp_path / "broken", records[:2], compressed=False)
    broken.write_bytes(broken.read_bytes()[:-1])
    counted = evaluate(job, [*files, str(broken)], tmp_path / "counted")
    assert [str(broken) in error.found for error in counted.errors] == [True]
    assert counted.num_examples["overall"] == len(records)


def test_one_process_keeps_its_evaluator_and_its_candidates_until_they_are_closed(job, records, tmp_path):
    evaluator = open_evaluator(job)
    assert open_evaluator(job) is evaluator
    children = [one._process._child for one in evaluator._candidates if one._process is not None]
    assert len(children) == 2
    evaluate(job, write(tmp_path, records[:20], 2), tmp_path / "counted")
    assert open_evaluator(job) is evaluator
    assert all(child.poll() is None for child in children)
    close_evaluators()
    assert all(child.poll() is not None for child in children)
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child.pid, 0)
    assert not evaluations._open


def test_another_job_closes_the_one_before(job, folder):
    first = open_evaluator(job)
    other = EvaluationJob(job.baseline, job.candidates[:1], job.schema, job.config, job.data)
    assert open_evaluator(other) is not first
    process = first._candidates[0]._process
    assert process is not None
    assert process._child.poll() is not None


def test_a_candidate_that_is_not_there_is_that_candidates_error(tmp_path):
    candidate = read_candidate("int8", "int8", str(tmp_path))
    assert (candidate.name, candidate.scheme) == ("int8", "int8")
    assert isinstance(candidate.content, ModelError)


def test_a_baseline_that_is_not_there_ends_the_evaluation(job, tmp_path):
    missing = EvaluationJob(str(tmp_path / "none"), job.candidates, job.schema, job.config, job.data)
    with pytest.raises(ModelError, match="no folder"):
        open_evaluator(missing)


def test_a_local_folder_is_used_where_it_is_and_another_is_copied_once(folder):
    assert local_copy(str(folder)) == folder
    copied = local_copy(f"file://{folder}")
    assert copied != folder
    assert local_copy(f"file://{folder}") == copied
    for scheme in ("float32", "float16"):
        inner = f"{scheme}/Format-Serving/tflite"
        assert (copied / inner).read_bytes() == (folder / inner).read_bytes()


def test_what_was_counted_comes_back_from_its_file(job, records, tmp_path, expected):
    counted = open_evaluator(job).evaluate_files(write(tmp_path, records, 1))
    write_counts(counted, str(tmp_path / "new" / "counted"))
    assert plain(read_counts(str(tmp_path / "new" / "counted"))) == plain(counted) == expected
    assert isinstance(counted, Accumulator)
