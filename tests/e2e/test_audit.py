"""Attacks on a real run, and accidents: each is found, and an untouched run is clean.

The run is made once and moved; every test works on a copy, so that its records name folders that are gone.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slimline.audit import Case, Policy, Status, everything, model_at, run_audit, take_snapshot
from slimline.core.digest import content_digest
from slimline.lineage.store import open_store, sqlite_config
from slimline.provenance import load_private_key, load_public_key, read_chain, write_chain
from tests.e2e.conftest import pushed

pytestmark = pytest.mark.slow


def audit(root: Path, path: Path | None = None, **options) -> dict[str, set[str]]:
    """Audits a run, or a model; returns the rules that failed and those that could not decide."""
    records = take_snapshot(open_store(sqlite_config(root / "metadata.sqlite")), root)
    subject = everything(records, str(root)) if path is None else model_at(records, path)
    result = run_audit(Case(subject.records, records, **options), subject.title)
    findings = (*subject.findings, *result.findings)
    return {status: {f.rule for f in findings if f.status == status} for status in Status}


def the(root: Path, pattern: str) -> Path:
    (found,) = root.glob(pattern)
    return found


def flip(path: Path) -> None:
    """Changes one byte in the middle, and keeps the file's times."""
    content, times = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def sql(root: Path, statement: str, *values: object) -> None:
    """Changes the store's rows behind ML Metadata's back."""
    with sqlite3.connect(root / "metadata.sqlite") as connection:
        assert connection.execute(statement, values).rowcount > 0
    connection.close()


def test_an_untouched_run_is_clean(root):
    found = audit(root)
    assert found[Status.FAIL] == found[Status.INCONCLUSIVE] == found[Status.WARN] == set()
    assert len(found[Status.PASS]) >= 17


def test_an_untouched_model_is_clean_wherever_it_lies(root, tmp_path):
    file = Path(shutil.copy(pushed(root) / "tflite", tmp_path / "found_on_a_device.tflite"))
    for path in (file, pushed(root), pushed(root) / "tflite"):
        found = audit(root, path)
        assert found[Status.FAIL] == found[Status.INCONCLUSIVE] == set()
        assert {"known-to-the-store", "pushed-through-gate", "decision-recomputed"} <= found[Status.PASS]


@pytest.mark.parametrize(
    ("pattern", "rules"),
    [
        ("artifacts/EdgeValidator/blessed_model/*/Format-Serving/tflite", {"bytes-as-recorded", "blessed-is-measured"}),
        ("artifacts/EdgeValidator/blessed_model/*/Format-Serving/io_spec.json", {"bytes-as-recorded"}),
        ("artifacts/Quantizer-int8/quantized_model/*/Format-Serving/tflite", {"bytes-as-recorded"}),
        ("artifacts/Trainer/model/*/Format-Serving/keras_metadata.pb", {"bytes-as-recorded"}),
        ("artifacts/Pruner/pruned_model/*/Format-Serving/variables/variables.data*", {"bytes-as-recorded"}),
        ("artifacts/CalibrationSampler/calibration/*/records.tfrecord.gz", {"bytes-as-recorded", "sample-rederived"}),
        ("artifacts/EdgeValidator/evaluation/*/evaluation.html", {"bytes-as-recorded"}),
        ("artifacts/ImportExampleGen/examples/*/Split-eval/*", {"bytes-as-recorded"}),
        ("artifacts/Quantizer-int8/quantized_model/*/steps.jsonl", {"statements-as-recorded"}),
        ("serving/*/tflite", {"pushed-is-blessed"}),
        ("serving/*/io_spec.json", {"pushed-is-blessed"}),
    ],
)
def test_one_changed_byte_is_found(root, pattern, rules):
    flip(the(root, pattern))
    assert rules <= audit(root)[Status.FAIL]


def test_a_loosened_limit_is_found_in_the_evaluation_and_in_the_store(root):
    path = the(root, "artifacts/EdgeValidator/evaluation/*/evaluation.json")
    text = path.read_text()
    path.write_text(text.replace('"max_drop": 0.05', '"max_drop": 0.5'))
    assert {"limits-fixed-before", "bytes-as-recorded", "evaluation-as-recorded"} <= audit(root)[Status.FAIL]
    path.write_text(text)
    assert audit(root)[Status.FAIL] == set()
    sql(root, "update ExecutionProperty set string_value = replace(string_value, '0.05', '0.5') where name = 'config'")
    assert "limits-fixed-before" in audit(root)[Status.FAIL]


def test_a_digest_rewritten_to_match_changed_bytes_is_found(root):
    path = the(root, "artifacts/Quantizer-float16/quantized_model/*/Format-Serving/tflite")
    before = content_digest(path.read_bytes())
    flip(path)
    after = content_digest(path.read_bytes())
    sql(root, "update ArtifactProperty set string_value = ? where string_value = ?", after, before)
    assert {"bytes-as-recorded", "properties-as-stated"} <= audit(root)[Status.FAIL]


def test_a_metric_edited_with_its_times_reset_is_found(root):
    sql(root, "update ArtifactProperty set string_value = '0.999' where name = 'metric_accuracy'")
    assert "evaluation-as-recorded" in audit(root)[Status.FAIL]


@pytest.mark.parametrize(
    ("table", "where", "rule"),
    [
        ("Execution", "type_id = (select id from Type where name like '%Quantizer')", "rows-are-whole"),
        ("Artifact", "uri like '%Trainer/model/%'", "rows-are-whole"),
        ("Event", "type = 3 and execution_id = (select max(id) - 1 from Execution)", "events-as-stated"),
        ("ArtifactProperty", "name = 'step_digest'", "statements-as-recorded"),
    ],
)
def test_a_deleted_row_is_found(root, table, where, rule):
    sql(root, f"delete from {table} where {where}")
    assert rule in audit(root)[Status.FAIL]


def test_a_file_pushed_by_hand_is_found(root):
    by_hand = root / "serving" / "9999999999"
    shutil.copytree(pushed(root), by_hand)
    assert "nothing-beside-pushes" in audit(root)[Status.FAIL]


def test_a_swap_for_an_unblessed_candidate_is_found(root):
    candidates = [
        path.read_bytes() for path in root.glob("artifacts/Quantizer-*/quantized_model/*/Format-Serving/tflite")
    ]
    (other,) = [content for content in candidates if content != (pushed(root) / "tflite").read_bytes()]
    (pushed(root) / "tflite").write_bytes(other)
    assert "pushed-is-blessed" in audit(root)[Status.FAIL]
    assert "pushed-is-blessed" not in audit(root, pushed(root) / "tflite")[Status.PASS]


def test_a_file_that_nobody_made_is_found(root, tmp_path):
    (tmp_path / "strange.tflite").write_bytes(b"strange")
    assert audit(root, tmp_path / "strange.tflite")[Status.FAIL] == {"known-to-the-store"}


def test_a_changed_file_from_a_device_is_known_by_the_id_in_it(root, tmp_path):
    copy = Path(shutil.copy(pushed(root) / "tflite", tmp_path / "from-a-device.tflite"))
    flip(copy)
    records = take_snapshot(open_store(sqlite_config(root / "metadata.sqlite")), root)
    subject = model_at(records, copy)
    (finding,) = subject.findings
    assert finding.status == Status.FAIL
    assert "holds the id of Model" in finding.text
    assert any(execution.node == "Trainer" for execution in subject.records.executions.values())


@pytest.mark.parametrize("content", ["[]", '{"config": 3, "candidates": []}', '{"candidates": [{}]}', "[" * 9_999])
def test_a_hostile_evaluation_leaves_the_audit_standing(root, content):
    the(root, "*/EdgeValidator/evaluation/*/evaluation.json").write_text(content)
    found = audit(root)
    assert {"bytes-as-recorded"} <= found[Status.FAIL]
    assert "evaluation-is-there" in found[Status.INCONCLUSIVE]


@pytest.mark.parametrize("value", ["[1]", "{", "{}{}", '{"thresholds": 3, "confidence": "high"}'])
def test_hostile_parameters_leave_the_audit_standing(root, value):
    sql(root, "UPDATE ExecutionProperty SET string_value = ? WHERE name = 'config'", value)
    the(root, "*/EdgeValidator/evaluation/*/evaluation.json").unlink()
    assert audit(root, policy=Policy(min_confidence=0.9, max_drop={"accuracy": 0.1}))[Status.FAIL]


def test_a_push_after_a_refusal_is_found(root):
    sql(root, "update ArtifactProperty set int_value = 0 where name = 'blessed'")
    assert {"pushed-through-gate", "blessed-is-measured"} <= audit(root)[Status.FAIL]


def test_a_push_without_a_gate_is_found(root):
    sql(
        root,
        "delete from EventPath where event_id in (select id from Event where execution_id = (select max(id) from "
        "Execution) and artifact_id in (select a.id from Artifact a join Type t on a.type_id = t.id "
        "where t.name = 'ModelBlessing'))",
    )
    assert "pushed-through-gate" in audit(root)[Status.FAIL]


@pytest.mark.parametrize("pattern", ["artifacts/CalibrationSampler", "artifacts/Trainer", "artifacts/Quantizer-int8"])
def test_deleted_evidence_leaves_the_audit_undecided(root, pattern):
    shutil.rmtree(root / pattern)
    found = audit(root)
    assert "bytes-as-recorded" in found[Status.INCONCLUSIVE]


def test_a_link_in_place_of_a_file_is_told(root):
    path = the(root, "artifacts/Quantizer-int8/quantized_model/*/Format-Serving/tflite")
    path.rename(root / "elsewhere")
    path.symlink_to(root / "elsewhere")
    assert "bytes-as-recorded" in audit(root)[Status.WARN]


def test_places_outside_of_the_run_and_hostile_names_do_no_harm(root):
    sql(root, "update Artifact set uri = '/made/../../../etc' where uri like '%Trainer/model/%'")
    name = "\x1b[31m[red]'; drop table Artifact; --"
    (root / "serving" / "x").mkdir()
    (root / "serving" / name.replace("/", "")).mkdir()
    assert {"nothing-beside-pushes"} <= audit(root)[Status.FAIL]


def test_a_run_killed_in_the_middle_is_told(root):
    sql(root, "update Execution set last_known_state = 2 where id = (select max(id) from Execution)")
    assert "runs-have-ended" in audit(root)[Status.WARN]


def test_signatures_are_verified_with_the_right_key_alone(root, tmp_path, keys: Callable[[str], Path]):
    private, public = load_private_key(keys("a")), load_public_key(keys("a").with_suffix(".pub"))
    stranger = load_public_key(keys("b").with_suffix(".pub"))
    assert "signatures" in audit(root, keys=(public,))[Status.FAIL]
    for chain in root.rglob("steps.jsonl"):
        write_chain(chain.parent, [envelope.sign(private) for envelope in read_chain(chain.parent)])
    assert audit(root, keys=(public,))[Status.FAIL] == set()
    assert audit(root, keys=(stranger,))[Status.FAIL] == {"signatures"}


def test_a_policy_is_held_against_every_gate_and_step(root):
    demands = {
        "schemes": ("int16x8",),
        "min_calibration_records": 65,
        "max_drop": {"accuracy": 0.01},
        "min_confidence": 0.99,
        "versions": {"tensorflow": ("1.0",)},
        "require_signatures": True,
    }
    for name, value in demands.items():
        assert audit(root, policy=Policy(**{name: value}))[Status.FAIL], name
    lenient = Policy(schemes=("int8", "float16"), min_calibration_records=64, max_drop={"accuracy": 0.05})
    assert audit(root, policy=lenient)[Status.FAIL] == set()


def test_the_code_of_the_steps_is_compared_with_a_checkout(root, tmp_path):
    assert audit(root, checkout=Path(__file__).parents[2])[Status.FAIL] == set()
    (tmp_path / "other.py").write_text("")
    assert audit(root, checkout=tmp_path)[Status.FAIL] == {"code-as-checkout"}


def test_the_commands_say_so_and_end_accordingly(root, slimline_json):
    code, clean = slimline_json("audit", root)
    assert (code, clean["is_clean"], clean["counts"]["FAIL"]) == (0, True, 0)
    shutil.rmtree(root / "artifacts" / "Trainer")
    assert slimline_json("audit", root)[0] == 0
    assert slimline_json("audit", root, "--strict")[0] == 3
    flip(pushed(root) / "tflite")
    code, dirty = slimline_json("audit", pushed(root))
    assert (code, dirty["is_clean"]) == (3, False)
    assert json.dumps(dirty)


def test_a_pushed_model_is_verified_without_its_store(root, tmp_path, keys, slimline_json):
    for chain in root.rglob("steps.jsonl"):
        private = load_private_key(keys("a"))
        write_chain(chain.parent, [envelope.sign(private) for envelope in read_chain(chain.parent)])
    device = Path(shutil.copytree(pushed(root), tmp_path / "device"))
    shutil.rmtree(root)
    public, stranger = keys("a").with_suffix(".pub"), keys("b").with_suffix(".pub")
    code, found = slimline_json("verify", device, "--key", public)
    assert (code, found["counts"]["FAIL"], found["counts"]["WARN"]) == (0, 0, 0)
    assert slimline_json("verify", device / "tflite", "--key", public)[0] == 0
    assert slimline_json("verify", device, "--key", stranger)[0] == 3
    lines = (device / "steps.jsonl").read_text().splitlines(keepends=True)
    (device / "steps.jsonl").write_text("".join(lines[1:]))
    assert slimline_json("verify", device)[0] == 3
    (device / "steps.jsonl").write_text("".join(lines))
    flip(device / "tflite")
    code, found = slimline_json("verify", device, "--key", public)
    assert (code, [f["rule"] for f in found["findings"] if f["status"] == "FAIL"]) == (3, ["bytes-as-stated"])


def test_metrics_measured_again_are_those_recorded_and_an_edited_one_is_not(root, slimline_json):
    code, found = slimline_json("audit", root, "--remeasure")
    again = [finding for finding in found["findings"] if finding["rule"] == "metrics-remeasured"]
    assert (code, [finding["status"] for finding in again]) == (0, ["PASS"])
    path = the(root, "artifacts/EdgeValidator/evaluation/*/evaluation.json")
    evaluation = json.loads(path.read_text())
    evaluation["candidates"][0]["metrics"]["accuracy"] -= 0.001
    path.write_text(json.dumps(evaluation))
    code, found = slimline_json("audit", root, "--remeasure")
    again = [finding for finding in found["findings"] if finding["rule"] == "metrics-remeasured"]
    assert (code, [finding["status"] for finding in again]) == (3, ["FAIL"])
    assert evaluation["candidates"][0]["name"] in again[0]["text"]


FORGET = "delete from ArtifactProperty where name in ('step_digest', 'manifest_digest')"


def test_a_step_of_which_row_and_statement_were_removed_is_found(root):
    folder = the(root, "artifacts/Quantizer-int8/quantized_model/*")
    (folder / "steps.jsonl").unlink()
    sql(root, f"{FORGET} and artifact_id = (select id from Artifact where uri like '%Quantizer-int8/quantized_model%')")
    flip(folder / "Format-Serving" / "tflite")
    assert "statements-as-recorded" in audit(root)[Status.FAIL]


def test_a_run_without_any_statement_is_not_recorded_and_no_key_accepts_it(root, keys):
    sql(root, FORGET)
    for chain in root.rglob("steps.jsonl"):
        chain.unlink()
    found = audit(root)
    assert "statements-as-recorded" in found[Status.NOT_RECORDED]
    assert "limits-fixed-before" in found[Status.NOT_RECORDED]
    keys("a")
    signed = audit(root, keys=(load_public_key(keys("a").with_suffix(".pub")),))
    assert "statements-as-recorded" in signed[Status.FAIL]


def test_a_step_that_is_made_to_look_like_another_tools_is_found(root):
    folder = the(root, "artifacts/Quantizer-int8/quantized_model/*")
    (folder / "steps.jsonl").unlink()
    sql(root, f"{FORGET} and artifact_id = (select id from Artifact where uri like '%Quantizer-int8/quantized_model%')")
    sql(root, "update Type set name = 'other.Tool' where name like 'slimline%Quantizer'")
    assert "inputs-at-use" in audit(root)[Status.FAIL]


@pytest.mark.parametrize("content", ["", "junk\n"])
def test_other_statements_at_the_destination_are_found(root, content):
    chain = pushed(root) / "steps.jsonl"
    chain.write_text(content or "".join(chain.read_text().splitlines(keepends=True)[1:]))
    assert "pushed-is-blessed" in audit(root)[Status.FAIL]


def test_places_that_are_not_there_are_refused(root, tmp_path):
    for option in ("--page", "--checkout", "--policy", "--key"):
        command = [sys.executable, "-m", "slimline", "audit", str(root), option, str(tmp_path / "none" / "x")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert (ran.returncode, "Traceback" in ran.stderr) == (2, False), ran.stderr
