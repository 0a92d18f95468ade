import os
import resource
import time
from contextlib import contextmanager

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tfx.types import standard_artifacts

from slimline import SamplingConfig
from slimline.errors import ConfigError, ExamplesError, PipelineError
from slimline.shells import shell
from tests.artifacts import examples_artifact
from tests.conftest import write_records

LIMIT = 2**31


def recorded(value):
    """Returns the value of a property as the artifact keeps it."""
    artifact = standard_artifacts.Model()
    shell.record(artifact, {"property": value})
    stored = artifact.mlmd_artifact.custom_properties["property"]
    return getattr(stored, stored.WhichOneof("value"))


def write_model(uri, error=None):
    with shell.staged_output(uri) as folder:
        (folder / "Format-Serving").mkdir()
        (folder / "Format-Serving" / "tflite").write_bytes(b"model")
        (folder / "notes").write_text("notes")
        if error:
            raise error


def files_below(uri):
    found = [f"{folder}/{name}" for folder, _, names in tf.io.gfile.walk(uri) for name in names]
    return sorted(path.removeprefix(f"{uri}/") for path in found)


@pytest.fixture(params=["local", "remote"])
def uri(request, tmp_path):
    """Where an artifact goes; TensorFlow's file system in memory stands for a bucket."""
    return str(tmp_path / "run" / "model") if request.param == "local" else f"ram://{tmp_path.name}/model"


def test_an_output_arrives_whole(uri):
    write_model(uri)
    assert files_below(uri) == ["Format-Serving/tflite", "notes"]
    with shell.local_folder(uri) as folder:
        assert (folder / "Format-Serving" / "tflite").read_bytes() == b"model"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_an_exception_leaves_nothing(uri, error, tmp_path):
    with pytest.raises(type(error)):
        write_model(uri, error)
    assert not tf.io.gfile.exists(uri)
    assert not [path for path in tmp_path.rglob("*") if path.name != "run"]


def test_what_is_already_there_stays_when_the_output_fails(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "kept").touch()
    with pytest.raises(ValueError, match="a bug"):
        write_model(str(tmp_path / "model"), ValueError("a bug"))
    assert files_below(str(tmp_path)) == ["model/kept"]


def test_leftovers_of_a_killed_attempt_do_not_get_into_the_output(tmp_path):
    """A new one may be another writer's, and stays; one of yesterday is nobody's, and goes."""
    for name, age_s in (("new", 3600), ("old", 25 * 3600)):
        left = tmp_path / f".model.{name}.partial"
        left.mkdir()
        (left / "stale").touch()
        os.utime(left, (time.time() - age_s,) * 2)
    write_model(str(tmp_path / "model"))
    assert files_below(str(tmp_path / "model")) == ["Format-Serving/tflite", "notes"]
    assert [path.name for path in tmp_path.glob(".*")] == [".model.new.partial"]


def test_nothing_is_at_its_place_before_all_is_written(tmp_path):
    with shell.staged_output(str(tmp_path / "model")) as folder:
        (folder / "notes").touch()
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "notes").exists()


@given(st.floats())
def test_floats_become_strings_in_full_precision(value):
    stored = recorded(value)
    assert isinstance(stored, str)
    assert np.array_equal(float(stored), value, equal_nan=True)


@given(
    st.integers(-(2**80), 2**80)
    | st.integers(-5, 5).map(lambda n: LIMIT + n)
    | st.integers(-5, 5).map(lambda n: n - LIMIT)
)
def test_integers_become_strings_where_databases_would_not_take_them(value):
    assert recorded(value) == (value if abs(value) < LIMIT else str(value))


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint64])
def test_integers_of_numpy_are_kept_like_those_of_python(kind):
    value = np.iinfo(kind).max
    stored = recorded(kind(value))
    assert stored == recorded(int(value)) == (value if value < LIMIT else str(value))
    assert type(stored) in (int, str)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@given(st.floats(width=16))
def test_floats_of_numpy_are_kept_like_those_of_python(kind, value):
    assert recorded(kind(value)) == recorded(value) == repr(value)


@given(st.text() | st.text(["\\", "\0", "/", "é"]))
def test_short_strings_keep_everything_but_backslashes_and_nuls(text):
    assert recorded(text) == text.replace("\\", "/").replace("\0", "")


@given(
    st.integers(0, 2100), st.text(st.characters(exclude_characters="\\\0", exclude_categories=["Cs"]), max_size=2100)
)
def test_long_strings_are_cut_at_2000_bytes_and_between_characters(padding, text):
    long = "a" * padding + text
    stored = recorded(long)
    assert long.startswith(stored)
    assert len(stored.encode()) <= 2000
    assert stored == long or len(stored.encode() + long[len(stored)].encode()) > 2000


@pytest.mark.parametrize(("size", "kept"), [(1999, 1999), (2000, 2000), (2001, 2000), (9000, 2000)])
def test_a_string_of_exactly_the_limit_is_kept(size, kept):
    assert recorded("a" * size) == "a" * kept
    assert recorded("é" * size) == "é" * min(size, 1000)


def test_a_split_gives_its_files_in_order(examples_folder):
    files = shell.split_files(examples_artifact(examples_folder), "train")
    assert files == tuple(str(examples_folder / "Split-train" / f"data-0000{n}-of-00002.gz") for n in range(2))


def test_an_unknown_split_is_refused_with_the_near_miss(examples_folder):
    with pytest.raises(ExamplesError) as refused:
        shell.split_files(examples_artifact(examples_folder), "evl")
    assert "no split 'evl'" in refused.value.found
    assert refused.value.expected == "one of train, eval"
    assert "Did you mean 'eval'" in refused.value.remedy


def test_examples_without_splits_are_refused(examples_folder):
    with pytest.raises(ExamplesError, match="none: the artifact has no splits"):
        shell.split_files(examples_artifact(examples_folder, ()), "train")


@pytest.mark.parametrize("payload_format", ["FORMAT_TF_SEQUENCE_EXAMPLE", "FORMAT_PARQUET", "FORMAT_PROTO"])
def test_another_payload_format_is_refused(examples_folder, payload_format):
    examples = examples_artifact(examples_folder)
    examples.set_string_custom_property("payload_format", payload_format)
    with pytest.raises(ExamplesError, match=f"Examples in {payload_format}"):
        shell.split_files(examples, "train")


def test_an_empty_split_is_refused_by_name_and_one_full_file_is_enough(tmp_path):
    write_records(tmp_path / "Split-train" / "empty.gz", [])
    write_records(tmp_path / "Split-train" / "full.gz", [b"record"])
    shell.refuse_empty_splits(examples_artifact(tmp_path, ("train",)))
    write_records(tmp_path / "Split-eval" / "empty.gz", [])
    with pytest.raises(ExamplesError, match="no record in split 'eval'"):
        shell.refuse_empty_splits(examples_artifact(tmp_path))


@pytest.mark.parametrize("config", [None, {"num_records": 5}, '{"num_records": 5}', SamplingConfig])
def test_a_configuration_of_another_kind_is_refused_with_the_options(config):
    with pytest.raises(ConfigError, match=r"SamplingConfig\(...\), with the options num_records, seed"):
        shell.to_parameter(config, SamplingConfig)


def test_a_configuration_is_carried_as_its_canonical_json():
    config = SamplingConfig(num_records=5)
    assert shell.to_parameter(config, SamplingConfig) == config.to_json()


def test_every_spec_has_the_version_and_takes_strings_only():
    found = shell.parameters("config", "data")
    assert sorted(found) == ["component_version", "config", "data"]
    assert {parameter.type for parameter in found.values()} == {str}


def test_a_marker_is_written_into_a_folder_that_may_not_be_there(uri):
    shell.write_marker(f"{uri}/", "BLESSED", "why")
    assert files_below(uri) == ["BLESSED"]
    assert tf.io.gfile.GFile(f"{uri}/BLESSED").read() == "why"


@contextmanager
def full_disk():
    """No file may grow over 100 bytes, which fails as a full disk does.

    Held around single writes only: the limit is the process's, and counts for the file that pytest prints to as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("by_tensorflow", [False, True])
def test_a_full_disk_is_told_and_leaves_nothing(by_tensorflow, tmp_path):
    def write(path):
        if by_tensorflow:
            tf.io.write_file(str(path), "x" * 1000)
        else:
            path.write_bytes(b"x" * 1000)

    with (
        pytest.raises(PipelineError, match="no space"),
        shell.staged_output(str(tmp_path / "out")) as folder,
        full_disk(),
    ):
        write(folder / "model")
    assert not list(tmp_path.iterdir())
