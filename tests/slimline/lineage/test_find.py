import shutil

import pytest

from slimline.core.digest import model_digest
from slimline.errors import LineageError
from slimline.lineage.find import FoundBy, artifact_by_id, find


def test_a_pushed_folder_is_found_as_the_blessed_model(recorder, recorded, tmp_path):
    found = find(recorder.store, tmp_path / "serving" / "1", tmp_path)
    assert [node.id for node in found.artifacts] == [recorded["quantized"], recorded["blessed"]]
    assert found.by == FoundBy.CONTENT
    assert not found.is_changed


def test_no_blessing_is_ever_the_answer_however_late_it_was_recorded(recorder, recorded, tmp_path):
    digest = model_digest(tmp_path / "serving" / "1")
    for kind in ("ModelBlessing", "InfraBlessing"):
        recorder.artifact(kind, tmp_path / kind, blessed=1, content_digest=digest)
    found = find(recorder.store, tmp_path / "serving" / "1", tmp_path)
    assert [node.type for node in found.artifacts] == ["Model", "Model"]
    assert found.artifact.id == recorded["blessed"]


def test_a_file_is_found_wherever_it_lies(recorder, recorded, tmp_path):
    elsewhere = tmp_path / "elsewhere.tflite"
    elsewhere.write_bytes(b"model")
    assert find(recorder.store, elsewhere, tmp_path).artifact.id == recorded["blessed"]


@pytest.mark.parametrize("name", ["it's.tflite", 'a"b.tflite', "ünïcode 模型.tflite"])
def test_a_name_that_no_query_could_hold_is_found_too(name, recorder, recorded, tmp_path):
    (tmp_path / name).write_bytes(b"model")
    assert find(recorder.store, tmp_path / name, tmp_path).artifact.id == recorded["blessed"]


def test_a_model_without_a_recorded_digest_is_found_by_its_files(recorder, recorded, tmp_path):
    (tmp_path / "model" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "model" / "Format-Serving" / "saved_model.pb").write_bytes(b"graph")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "saved_model.pb").write_bytes(b"graph")
    assert model_digest(copy) == model_digest(tmp_path / "model")
    assert [node.id for node in find(recorder.store, copy, tmp_path).artifacts] == [recorded["model"]]


def test_changed_bytes_are_known_by_their_place_and_are_no_identity(recorder, recorded, tmp_path):
    (tmp_path / "quantized" / "tflite").write_bytes(b"modeL")
    for path in (tmp_path / "quantized" / "tflite", tmp_path / "quantized"):
        found = find(recorder.store, path, tmp_path)
        assert (found.artifact.id, found.by) == (recorded["quantized"], FoundBy.PLACE)
        assert found.is_changed


def test_a_changed_file_at_a_destination_is_known_as_that_push(recorder, recorded, tmp_path):
    (tmp_path / "serving" / "1" / "tflite").write_bytes(b"modeL")
    found = find(recorder.store, tmp_path / "serving" / "1", tmp_path)
    assert (found.artifact.id, found.by) == (recorded["pushed"], FoundBy.PLACE)


def test_an_artifact_that_is_no_model_is_known_by_its_place(recorder, recorded, tmp_path):
    (tmp_path / "data" / "Split-train").mkdir(parents=True)
    (tmp_path / "data" / "Split-train" / "data.gz").write_bytes(b"records")
    found = find(recorder.store, tmp_path / "data", tmp_path)
    assert (found.artifact.id, found.by) == (recorded["examples"], FoundBy.PLACE)
    # No digest is recorded that it could break.
    assert not found.is_changed


def test_places_are_known_after_the_whole_root_was_moved(recorder, recorded, tmp_path):
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    shutil.move(tmp_path, moved)
    (moved / "quantized" / "tflite").write_bytes(b"modeL")
    found = find(recorder.store, moved / "quantized" / "tflite", moved)
    assert (found.artifact.id, found.by) == (recorded["quantized"], FoundBy.PLACE)


def test_a_stranger_is_not_found(recorder, recorded, tmp_path):
    (tmp_path / "stranger").write_bytes(b"modeL")
    with pytest.raises(LineageError, match="the file was changed"):
        find(recorder.store, tmp_path / "stranger", tmp_path)


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_nothing_is_refused(name, recorder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LineageError, match="nothing at"):
        find(recorder.store, tmp_path / name, tmp_path)


def test_an_artifact_is_found_by_its_id_and_another_id_is_refused(recorder, recorded):
    assert artifact_by_id(recorder.store, recorded["blessed"]).artifact.id == recorded["blessed"]
    with pytest.raises(LineageError, match="no artifact 999"):
        artifact_by_id(recorder.store, 999)
