import inspect
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimline.core.digest import file_digest, folder_digest, model_digest
from slimline.errors import ModelError

# The command of `folder_digest`'s docstring.
(COREUTILS,) = re.findall(r"`(find [^`]+)`", inspect.getdoc(folder_digest) or "")
# "a-/b" comes before "a/b" in byte order, and after it when folders are compared first.
FOLDERS = st.lists(st.sampled_from(["a", "a-", "a b", "É", "é'", "-a"]), max_size=3)
FILES = st.sampled_from(["b", "B", "0", "b.c", ".hidden", '"', "-n", "--help", os.fsdecode(b"\xff")])
TREES = st.dictionaries(
    st.builds(lambda folders, file: "/".join([*folders, file]), FOLDERS, FILES), st.binary(max_size=5)
)


def write_tree(folder, tree):
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def digest_of_tree(tree):
    with tempfile.TemporaryDirectory() as folder:
        return folder_digest(write_tree(Path(folder), tree))


@pytest.fixture
def folder(tmp_path):
    return write_tree(tmp_path / "folder", {"one": b"1", "deep/two": b"2"})


@given(TREES)
@settings(max_examples=30)
def test_a_folder_has_the_digest_that_coreutils_print(tree):
    with tempfile.TemporaryDirectory() as folder:
        write_tree(Path(folder), tree)
        printed = subprocess.run(["bash", "-c", COREUTILS], cwd=folder, capture_output=True, check=True, text=True)
        assert folder_digest(Path(folder)) == f"sha256:{printed.stdout.split()[0]}"


@given(TREES, TREES)
@settings(max_examples=40)
def test_folders_have_the_same_digest_exactly_when_they_hold_the_same(tree, other):
    assert (digest_of_tree(tree) == digest_of_tree(other)) == (tree == other)


def test_the_digest_of_a_file_is_that_of_the_standard(tmp_path):
    # FIPS 180-4, the example of a million letters a.
    (tmp_path / "file").write_bytes(b"a" * 1_000_000)
    assert file_digest(tmp_path / "file") == "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_the_place_and_empty_folders_do_not_matter(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    (copy / "empty").mkdir()
    assert folder_digest(copy) == folder_digest(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "one").write_bytes(b"2"),
        lambda folder: (folder / "one").rename(folder / "One"),
        lambda folder: (folder / "one").rename(folder / "deep" / "one"),
        lambda folder: (folder / "three").touch(),
        lambda folder: (folder / "deep" / "two").unlink(),
    ],
)
def test_any_change_changes_the_digest(folder, change):
    before = folder_digest(folder)
    change(folder)
    assert folder_digest(folder) != before


@pytest.mark.parametrize("target", ["one", "deep", "nothing"])
@pytest.mark.parametrize("place", ["link", "deep/link"])
def test_a_link_is_refused(folder, target, place):
    (folder / place).symlink_to(folder / target)
    with pytest.raises(ModelError, match=f"{folder / place}' in a model's folder, which is a link"):
        folder_digest(folder)


@pytest.mark.parametrize("name", ["back\\slash", "line\nbreak", "carriage\rreturn"])
@pytest.mark.parametrize("place", ["{}", "deep/{}", "{}/inner"])
def test_names_that_coreutils_would_not_print_as_they_are_are_refused(folder, name, place):
    write_tree(folder, {place.format(name): b""})
    with pytest.raises(ModelError, match="a backslash or line break in its name"):
        folder_digest(folder)


def test_a_model_that_is_not_there_has_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        model_digest(tmp_path / "missing")


def test_a_tflite_model_has_one_digest_wherever_it_lies(tmp_path):
    artifact = write_tree(tmp_path / "artifact", {"Format-Serving/tflite": b"model", "notes": b"more"})
    pushed = write_tree(tmp_path / "pushed", {"tflite": b"model"})
    (tmp_path / "renamed.tflite").write_bytes(b"model")
    expected = file_digest(tmp_path / "renamed.tflite")
    for path in (artifact, artifact / "Format-Serving", pushed, pushed / "tflite", tmp_path / "renamed.tflite"):
        assert model_digest(path) == expected


def test_any_other_model_is_identified_by_its_whole_serving_folder(tmp_path):
    files = {"saved_model.pb": b"graph", "variables/variables.index": b"weights"}
    artifact = write_tree(tmp_path / "artifact", {f"Format-Serving/{name}": content for name, content in files.items()})
    pushed = write_tree(tmp_path / "pushed", files)
    assert model_digest(artifact) == model_digest(pushed) == folder_digest(pushed)
    (artifact / "notes").touch()
    assert model_digest(artifact) == model_digest(pushed)
    (artifact / "Format-Serving" / "variables" / "variables.index").write_bytes(b"others")
    assert model_digest(artifact) != model_digest(pushed)
