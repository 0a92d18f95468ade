"""A ledger tells of steps of which the store's rows and the files were both removed."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from slimline.audit import Case, Status, everything, run_audit, take_snapshot
from slimline.cli.exit_codes import BAD_INPUT, NOT_GOOD_ENOUGH, OK
from slimline.lineage.store import open_store, sqlite_config
from slimline.provenance.ledger import Ledger, read_ledger
from tests.e2e.conftest import LEDGER
from tests.e2e.test_audit import the

pytestmark = pytest.mark.slow


def findings(root, ledger: Ledger, anchor: str = ""):
    records = take_snapshot(open_store(sqlite_config(root / "metadata.sqlite")), root)
    result = run_audit(Case(everything(records, "").records, records, ledger=ledger, anchor=anchor), "")
    return [finding for finding in result.findings if "ledger" in finding.rule]


def test_every_step_of_an_untouched_run_is_in_the_ledger(root):
    ledger = read_ledger(root / LEDGER)
    assert {entry.node for entry in ledger.entries} == {
        *("Pruner", "CalibrationSampler", "Quantizer-float16", "Quantizer-int8", "EdgeValidator")
    }
    found = findings(root, ledger, ledger.entries[1].digest)
    assert len(found) == 6
    assert {finding.status for finding in found} == {Status.PASS}


def test_a_step_of_which_rows_and_files_were_removed_is_found(root):
    with closing(sqlite3.connect(root / "metadata.sqlite")) as store, store:
        (gone,) = store.execute(
            "SELECT execution_id FROM Event JOIN ExecutionProperty USING (execution_id) "
            "WHERE string_value LIKE '%float16%'"
        ).fetchone()
        made = "SELECT artifact_id FROM Event WHERE type = 4 AND execution_id = ?"
        artifacts = [id_ for (id_,) in store.execute(made, (gone,))]
        for table, column, ids in (
            ("Event", "execution_id", [gone]),
            ("Execution", "id", [gone]),
            ("ExecutionProperty", "execution_id", [gone]),
            ("Artifact", "id", artifacts),
            ("ArtifactProperty", "artifact_id", artifacts),
            ("Event", "artifact_id", artifacts),
        ):
            for id_ in ids:
                store.execute(f"DELETE FROM {table} WHERE {column} = ?", (id_,))
    shutil.rmtree(the(root, "*/Quantizer-float16"))
    failed = [finding for finding in findings(root, read_ledger(root / LEDGER)) if finding.status == Status.FAIL]
    assert [finding.subject.split(" ")[0] for finding in failed] == ["Quantizer-float16"]


def test_a_step_that_went_past_the_ledger_is_found(root):
    ledger = read_ledger(root / LEDGER)
    failed = [f for f in findings(root, Ledger(ledger.entries[:-1], "")) if f.status == Status.FAIL]
    assert [finding.subject.split(" ")[0] for finding in failed] == ["EdgeValidator"]


def test_steps_from_before_the_ledger_are_not_held_against_the_run(root):
    last = read_ledger(root / LEDGER).entries[-1]
    found = findings(root, Ledger((last,), ""))
    assert [f.status for f in found].count(Status.NOT_RECORDED) == 4
    assert Status.FAIL not in {f.status for f in found}


def test_the_command_asks_for_the_line_that_was_noted(root, slimline_json, slimline):
    ledger = root / LEDGER
    head = read_ledger(ledger).head
    code, content = slimline_json("audit", root, "--ledger", ledger, "--anchor", head)
    assert code == OK, content
    ledger.write_text(ledger.read_text().splitlines()[0] + "\n")
    code, content = slimline_json("audit", root, "--ledger", ledger, "--anchor", head)
    assert code == NOT_GOOD_ENOUGH
    assert {f["rule"] for f in content["findings"] if f["status"] == "FAIL"} == {"ledger-is-whole", "steps-in-ledger"}
    for wrong in (["--anchor", head], ["--ledger", str(root / "none")]):
        assert slimline("audit", str(root), *wrong).returncode == BAD_INPUT
