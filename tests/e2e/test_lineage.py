"""Lineage of a real run, which was moved after it was made: up to the data, down to the push, and against another."""

import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from slimline.cli.exit_codes import BAD_INPUT, NOT_GOOD_ENOUGH, OK
from tests.e2e.conftest import pushed
from tests.e2e.test_audit import flip, the

pytestmark = pytest.mark.slow


def steps(content) -> set[str]:
    return {execution["node"] for execution in content["executions"]}


def test_the_pushed_file_leads_to_the_data(root, slimline_json, tmp_path):
    copy = Path(shutil.copy(pushed(root) / "tflite", tmp_path / "from a device.tflite"))
    code, content = slimline_json("lineage", copy, "--metadata", root / "metadata.sqlite")
    assert code == OK
    assert content["found_by"] == "content"
    assert {"ImportExampleGen", "Trainer", "EdgeValidator"} <= steps(content)
    # The root was moved: where it was is told, and the artifacts are where they are now.
    assert Path(content["old_root"]).name == "made"


def test_one_changed_byte_is_told_and_the_run_is_found_all_the_same(root, slimline_json, tmp_path):
    copy = Path(shutil.copy(pushed(root) / "tflite", tmp_path / "from-a-device.tflite"))
    flip(copy)
    code, content = slimline_json("lineage", copy, "--metadata", root / "metadata.sqlite")
    assert code == NOT_GOOD_ENOUGH
    assert content["is_changed"]
    assert content["found_by"] == "provenance_id"
    assert {"ImportExampleGen", "Trainer"} <= steps(content)


def test_what_was_pushed_of_the_data_is_told(root, slimline_json, slimline):
    examples = the(root, "*/*ExampleGen/examples/*")
    code, content = slimline_json("lineage", examples, "--downstream")
    assert code == OK
    assert content["found_by"] == "place"
    assert len(content["pushed_to"]) == 1
    assert {"Trainer", "EdgeValidator", "Pusher"} <= steps(content)
    assert f"pushed to {content['pushed_to'][0]}" in slimline("lineage", str(examples), "--downstream").stdout


def test_a_sample_is_known_by_the_digest_of_its_files(root, slimline_json):
    sample = the(root, "*/CalibrationSampler/calibration/*")
    code, content = slimline_json("lineage", sample)
    assert (code, content["found_by"]) == (OK, "content")
    (sample / "manifest.json").write_text("{}")
    code, content = slimline_json("lineage", sample)
    assert (code, content["found_by"], content["is_changed"]) == (NOT_GOOD_ENOUGH, "place", True)


def test_data_with_links_is_known_by_its_place(root, slimline_json):
    examples = the(root, "*/*ExampleGen/examples/*")
    (examples / "link").symlink_to(examples)
    assert slimline_json("lineage", examples)[0] == OK


def test_what_is_printed_as_the_next_command_works_as_printed(root, slimline, tmp_path):
    folder = tmp_path / "with a space"
    root.rename(folder)
    told = slimline("lineage", str(pushed(folder)))
    assert told.returncode == OK, told.stderr
    command = shlex.split(told.stdout.split("were touched: ")[1].splitlines()[0])
    assert slimline(*command[1:]).returncode == OK
    told = slimline("history", str(folder / "serving"))
    command = shlex.split(told.stdout.split("came from: ")[1].splitlines()[0])
    assert command[:2] == ["slimline", "lineage"]


def test_two_models_of_one_run_differ_by_what_their_step_was_told_and_made(root, slimline_json):
    models = sorted(path.parent for path in root.glob("*/Quantizer*/quantized_model/*/Format-Serving"))
    code, content = slimline_json("diff", models[0], models[1])
    assert code == OK
    found = {(d["kind"], d["name"]): (d["one"], d["other"]) for d in content["differences"]}
    assert {d["step"] for d in content["differences"] if d["kind"] != "step"} == {"Quantizer-float16 / Quantizer-int8"}
    assert found["parameter", "config.scheme"] == ("float16", "int8")
    assert found["result", "quantized_model.scheme"] == ("float16", "int8")
    assert len(set(found["result", "quantized_model.content_digest"])) == 2
    _, same = slimline_json("diff", models[0], models[0])
    assert same["differences"] == []


def test_what_was_pushed_differs_from_what_was_quantized_by_the_gate_and_what_it_compared(root, slimline_json):
    quantized = the(root, "*/Quantizer-int8/quantized_model/*")
    _, content = slimline_json("diff", pushed(root), quantized)
    found = {(d["step"], d["kind"], d["one"], d["other"]) for d in content["differences"]}
    assert found == {(step, "step", "ran", None) for step in ("EdgeValidator", "Quantizer-float16")}


def test_the_history_of_a_destination_tells_what_lies_there(root, slimline_json, slimline):
    serving = root / "serving"
    code, content = slimline_json("history", serving)
    assert code == OK
    (push,) = content["pushes"]
    assert push["state"] == "as pushed"
    assert push["is_blessed"]
    assert push["figures"]
    flip(pushed(root) / "tflite")
    (serving / "by-hand").mkdir()
    _, content = slimline_json("history", serving)
    assert content["pushes"][0]["state"] == "changed since"
    assert content["unrecorded"] == [str(serving / "by-hand")]
    shutil.rmtree(serving)
    _, content = slimline_json("history", serving, "--metadata", root / "metadata.sqlite")
    assert content["pushes"][0]["state"] == "gone"
    refused = slimline("history", str(root / "elsewhere"))
    assert refused.returncode == BAD_INPUT
    assert "no push to" in refused.stderr


@pytest.mark.parametrize("table", ["Execution", "Artifact", "Event"])
def test_rows_that_were_deleted_stop_no_walk(table, root, slimline):
    """ML Metadata itself aborts the process when it is asked for several rows of which one is gone."""
    key = "id" if table != "Event" else "execution_id"
    with closing(sqlite3.connect(root / "metadata.sqlite")) as store, store:
        (gone,) = store.execute("SELECT id FROM Type WHERE name LIKE '%Trainer%'").fetchone()
        wanted = {
            "Execution": f"type_id = {gone}",
            "Artifact": f"id IN (SELECT artifact_id FROM Event WHERE type = 4 AND execution_id IN "
            f"(SELECT id FROM Execution WHERE type_id = {gone}))",
            "Event": f"{key} IN (SELECT id FROM Execution WHERE type_id = {gone})",
        }[table]
        assert store.execute(f"DELETE FROM {table} WHERE {wanted}").rowcount > 0
    told = slimline("lineage", str(pushed(root)))
    assert told.returncode == OK, told.stderr
    assert "EdgeValidator" in told.stdout


def test_an_artifact_is_named_by_its_id(root, slimline_json, slimline):
    _, content = slimline_json("lineage", pushed(root))
    code, again = slimline_json(
        *("lineage", "--artifact", str(content["artifact_id"]), "--metadata", root / "metadata.sqlite")
    )
    assert code == OK
    assert again["executions"] == content["executions"]
    for wrong in (["lineage"], ["lineage", str(root), "--artifact", "1"], ["lineage", "--artifact", "99999"]):
        assert slimline(*wrong, "--metadata", str(root / "metadata.sqlite")).returncode == BAD_INPUT
