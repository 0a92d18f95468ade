import errno
import os

import pytest
import tensorflow as tf

from slimline.core.atomic_write import staged_folder
from slimline.errors import PipelineError


def test_all_files_and_folders_arrive_together(tmp_path):
    with staged_folder(tmp_path / "deep" / "out") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("content")
        (folder / "other").touch()
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "inner" / "file").read_text() == "content"
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["out"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_lack_of_space_is_told_whoever_meets_it(tmp_path, code):
    words = os.strerror(code)
    for error in (OSError(code, words), tf.errors.ResourceExhaustedError(None, None, f"file; {words}")):
        with (
            pytest.raises(PipelineError, match=f"no space to write {tmp_path / 'out'}"),
            staged_folder(tmp_path / "out"),
        ):
            raise error
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [PermissionError("denied"), tf.errors.NotFoundError(None, None, "gone")])
def test_other_errors_of_the_disk_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)), staged_folder(tmp_path / "out"):
        raise error
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_that_is_there_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    with staged_folder(tmp_path / "out") as folder:
        (folder / "file").touch()
    assert (tmp_path / "out" / "file").exists()
