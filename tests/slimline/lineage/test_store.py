import pytest
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from slimline.errors import LineageError
from slimline.lineage.store import find_store_file, open_store, sqlite_config


def test_a_store_is_opened_for_reading_only(recorder, recorded, tmp_path):
    store = open_store(sqlite_config(tmp_path / "metadata.sqlite"))
    assert len(store.get_artifacts()) == len(recorded)
    with pytest.raises(errors.StatusError):
        store.put_artifact_type(pb.ArtifactType(name="New"))


def test_a_missing_store_is_refused_and_not_made(tmp_path):
    with pytest.raises(LineageError, match="--metadata"):
        open_store(sqlite_config(tmp_path / "none.sqlite"))
    assert not (tmp_path / "none.sqlite").exists()


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(LineageError, match="can't be opened"):
        open_store(sqlite_config(tmp_path / "text.sqlite"))


def test_the_nearest_store_above_is_taken(tmp_path):
    deep = tmp_path / "serving" / "1"
    deep.mkdir(parents=True)
    (tmp_path / "metadata.sqlite").touch()
    assert find_store_file(deep / "tflite") == tmp_path / "metadata.sqlite"


def test_no_store_above_is_refused(tmp_path):
    with pytest.raises(LineageError, match="--metadata"):
        find_store_file(tmp_path / "tflite")
