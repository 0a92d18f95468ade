import pytest

from slimline.core.digest import model_digest
from slimline.errors import LineageError
from slimline.lineage.find import find_by_content


def test_a_pushed_folder_is_found_as_the_blessed_model(recorder, recorded, tmp_path):
    found = find_by_content(recorder.store, tmp_path / "serving" / "1")
    assert [node.id for node in found] == [recorded["quantized"], recorded["blessed"]]


def test_no_blessing_is_ever_the_answer_however_late_it_was_recorded(recorder, recorded, tmp_path):
    digest = model_digest(tmp_path / "serving" / "1")
    for kind in ("ModelBlessing", "InfraBlessing"):
        recorder.artifact(kind, tmp_path / kind, blessed=1, content_digest=digest)
    found = find_by_content(recorder.store, tmp_path / "serving" / "1")
    assert [node.type for node in found] == ["Model", "Model"]
    assert found[-1].id == recorded["blessed"]


def test_a_file_is_found_wherever_it_lies(recorder, recorded, tmp_path):
    elsewhere = tmp_path / "elsewhere.tflite"
    elsewhere.write_bytes(b"model")
    assert find_by_content(recorder.store, elsewhere)[-1].id == recorded["blessed"]


def test_a_model_without_a_recorded_digest_is_found_by_its_files(recorder, recorded, tmp_path):
    (tmp_path / "model" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "model" / "Format-Serving" / "saved_model.pb").write_bytes(b"graph")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "saved_model.pb").write_bytes(b"graph")
    assert model_digest(copy) == model_digest(tmp_path / "model")
    assert [node.id for node in find_by_content(recorder.store, copy)] == [recorded["model"]]


def test_one_changed_byte_is_not_found(recorder, recorded, tmp_path):
    (tmp_path / "serving" / "1" / "tflite").write_bytes(b"modeL")
    with pytest.raises(LineageError, match="the file was changed"):
        find_by_content(recorder.store, tmp_path / "serving" / "1")


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_nothing_is_refused(name, recorder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LineageError, match="nothing at"):
        find_by_content(recorder.store, tmp_path / name)
