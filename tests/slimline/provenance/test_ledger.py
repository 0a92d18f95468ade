import json
import subprocess
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from slimline.errors import ProvenanceError
from slimline.provenance.ledger import Entry, append, read_ledger, require_writable


def add(path: Path, step: object) -> Entry:
    return append(path, step=f"sha256:{step}", node="Quantizer-ü", run="r1", finished="2026-01-01T00:00:00.000+00:00")


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "runs.ledger"
    for step in range(5):
        add(path, step)
    return path


def test_what_is_added_is_read_in_order(path):
    ledger = read_ledger(path)
    assert ledger.problem == ""
    assert [entry.step for entry in ledger.entries] == [f"sha256:{step}" for step in range(5)]
    assert [entry.number for entry in ledger.entries] == [1, 2, 3, 4, 5]


def test_digests_are_those_of_sha256sum(path):
    lines = path.read_text().splitlines()
    for line, entry in zip(lines, read_ledger(path).entries, strict=True):
        told = subprocess.run(["sha256sum"], input=line.encode(), capture_output=True, check=True).stdout.split()[0]
        assert entry.digest == f"sha256:{told.decode()}"
    assert json.loads(lines[3])["previous"] == read_ledger(path).entries[2].digest


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path):
    path = tmp_path / "runs.ledger"
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(partial(add, path), range(60)))
    ledger = read_ledger(path)
    assert ledger.problem == ""
    assert {entry.step for entry in ledger.entries} == {f"sha256:{step}" for step in range(60)}


def edited(lines):
    return [*lines[:2], lines[2].replace("Quantizer", "Pruner"), *lines[3:]]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda lines: [*lines[:2], *lines[3:]], "line 3"),
        (lambda lines: lines[1:], "line 1"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line 2"),
        (edited, "line 4"),
        (lambda lines: [*lines[:4], "[]"], "line 5"),
        (lambda lines: [*lines[:4], "[" * 99_999], "line 5"),
        (lambda lines: [*lines[:4], lines[4].replace(",", ", ")], "line 5"),
    ],
)
def test_a_line_that_was_changed_moved_or_left_out_is_found(change, where, path):
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    assert where in read_ledger(path).problem


def test_nothing_is_added_to_a_damaged_end(path):
    path.write_text(path.read_text() + '{"number":')
    before = path.read_bytes()
    for call in (partial(add, path, 9), partial(require_writable, path)):
        with pytest.raises(ProvenanceError, match="last line is no entry"):
            call()
    assert path.read_bytes() == before


def test_places_that_are_none_are_refused(tmp_path):
    with pytest.raises(ProvenanceError, match="no ledger can be written"):
        require_writable(tmp_path / "no" / "folder")
    with pytest.raises(ProvenanceError, match="no ledger"):
        read_ledger(tmp_path / "none")
