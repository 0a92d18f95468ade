import dataclasses
import subprocess

import pytest

from slimline.errors import ProvenanceError
from slimline.provenance import ArtifactState, Step, manifest_of, merge_chains, read_chain, write_chain
from slimline.provenance.chain import broken_links
from slimline.provenance.manifest import CHAIN_FILE


def make_step(node: str, inputs=(), outputs=()) -> Step:
    times = ("2026-01-01T00:00:00.000+00:00", "2026-01-01T00:00:01.000+00:00")
    return Step(f"x.{node}", node, "run", {"config": {"a": 1}}, inputs, outputs, *times, {"host": "h"})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model" / "inner").mkdir(parents=True)
    (tmp_path / "model" / "b").write_bytes(b"b")
    (tmp_path / "model" / "inner" / "a").write_bytes(b"a")
    return tmp_path / "model"


def test_coreutils_give_a_manifests_digest(folder):
    command = r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -r -d '\n' sha256sum -- | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert manifest_of(folder).digest == "sha256:" + printed.split()[0]


def test_the_chain_beside_the_files_is_not_one_of_them(folder):
    before = manifest_of(folder)
    write_chain(folder, [make_step("one").to_envelope()])
    assert (folder / CHAIN_FILE).is_file()
    assert manifest_of(folder) == before


def test_links_are_seen_and_folders_behind_them_are_not_followed(folder, tmp_path):
    (folder / "link").symlink_to(folder / "b")
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    (folder / "loop").symlink_to(folder)
    entries = manifest_of(folder).by_path()
    assert {path: entry.is_link for path, entry in entries.items()} == {
        "b": False, "inner/a": False, "link": True, "nowhere": True, "loop": True,
    }  # fmt: skip
    assert entries["nowhere"].digest == entries["loop"].digest == ""


def test_a_step_is_read_as_it_was_written(folder):
    state = ArtifactState.of("model", "Model", str(folder), manifest_of(folder), 7, "sha256:0")
    step = make_step("one", (state,), (dataclasses.replace(state, key="out"),))
    envelope = step.to_envelope()
    assert Step.from_envelope(envelope) == step
    assert envelope.payload == step.to_envelope().payload
    subjects = {entry["name"] for entry in envelope.statement()["subject"]}
    assert subjects == {"out/b", "out/inner/a"}


def test_a_chain_is_whole_only_with_every_step(folder):
    first = make_step("one").to_envelope()
    state = ArtifactState.of("model", "Model", str(folder), manifest_of(folder), 1, first.digest)
    second, stranger = make_step("two", (state,)).to_envelope(), make_step("three").to_envelope()
    chain = merge_chains([(first,), (first, second)])
    write_chain(folder, chain)
    assert read_chain(folder) == chain == (first, second)
    assert broken_links(chain, second.digest) == ""
    assert "missing or was changed" in broken_links((second,), second.digest)
    assert "on which nothing here builds" in broken_links((first, stranger, second), second.digest)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{}\n", b'{"payload":1}\n'])
def test_a_damaged_chain_is_refused(folder, content):
    (folder / CHAIN_FILE).write_bytes(content)
    with pytest.raises(ProvenanceError, match="damaged"):
        read_chain(folder)


def test_a_folder_without_a_chain_has_none(folder):
    assert read_chain(folder) == ()
