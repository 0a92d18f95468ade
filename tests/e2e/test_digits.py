"""One real run of the digits pipeline, as a person starts it: blessed, cached, then refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slimline.cli.exit_codes import NOT_GOOD_ENOUGH, OK
from slimline.core.digest import model_digest

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]


def slimline(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("slimline")
    environment = {**os.environ, "COLUMNS": "140"}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, cwd=PROJECT, env=environment
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def outcome(root) -> dict[str, Any]:
    ran = slimline("run", "digits", "--root", str(root), "--json")
    assert ran.returncode == OK, ran.stderr
    assert "Trainer: done" in ran.stderr
    assert "Pruner: epoch 1/40, loss" in ran.stderr
    return json.loads(ran.stdout)


def test_the_float_model_is_good_and_the_int8_model_small(outcome):
    assert outcome["baseline"]["metrics"]["accuracy"] >= 0.97
    (int8,) = [candidate for candidate in outcome["candidates"] if candidate["name"] == "Quantizer-int8"]
    assert int8["drop"]["accuracy"] <= 0.015
    assert int8["gzip_bytes"] * 8 <= outcome["baseline"]["gzip_bytes"]


def test_training_to_be_quantized_makes_it_thirty_times_smaller_at_no_more_than_a_point(outcome):
    (trained,) = [candidate for candidate in outcome["candidates"] if candidate["name"] == "Quantizer-int8-qat"]
    assert trained["drop"]["accuracy"] <= 0.01
    assert trained["gzip_bytes"] * 30 <= outcome["baseline"]["gzip_bytes"]


def test_the_outcome_has_what_a_script_needs(outcome):
    keys = {
        "candidates",
        "baseline",
        "chosen",
        "nearest_miss",
        "warnings",
        "pushed_to",
        "seconds",
        "run_id",
        "metadata",
    }
    assert keys <= set(outcome)
    assert outcome["nearest_miss"] is None
    assert outcome["warnings"] == []
    schemes = {candidate["scheme"] for candidate in outcome["candidates"]}
    assert schemes == {"float16", "dynamic_range", "int8", "int16x8"}
    assert {component["state"] for component in outcome["components"]} == {"done"}
    assert len(outcome["components"]) == 15


def test_what_was_pushed_is_what_was_blessed(outcome):
    (chosen,) = [candidate for candidate in outcome["candidates"] if candidate["name"] == outcome["chosen"]]
    assert chosen["gzip_bytes"] == min(candidate["gzip_bytes"] for candidate in outcome["candidates"])
    assert model_digest(Path(outcome["pushed_to"])) == chosen["content_digest"]


def test_the_gate_is_passed_by_the_bound_and_not_only_by_the_figure(outcome):
    (chosen,) = [candidate for candidate in outcome["candidates"] if candidate["name"] == outcome["chosen"]]
    (drop,) = [verdict for verdict in chosen["verdicts"] if verdict["subject"] == "accuracy drop"]
    assert drop["value"] <= drop["upper"] <= drop["limit"]
    assert drop["num_examples"] == outcome["num_examples"] == 450
    assert "with 95% confidence" in drop["text"]


def test_the_validator_leaves_a_page_and_tells_tfx_that_the_model_runs(outcome, root):
    (page,) = root.rglob("evaluation.html")
    assert f"{outcome['chosen']} may ship" in page.read_text()
    (folder,) = [path for path in root.rglob("infra_blessing") if path.parent.name == "EdgeValidator"]
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["INFRA_BLESSED", "steps.jsonl"]


def test_the_page_can_be_written_again_from_the_root(outcome, root, tmp_path):
    written = slimline("report", str(root), "-o", str(tmp_path / "again.html"))
    assert written.returncode == OK, written.stderr
    (page,) = root.rglob("evaluation.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_lineage_leads_from_the_pushed_file_to_the_data(outcome):
    pushed = outcome["pushed_to"]
    traced = slimline("lineage", f"{pushed}/tflite")
    assert traced.returncode == OK, traced.stderr
    for expected in ("blessed by ModelBlessing", f"pushed to {pushed}", "ImportExampleGen", "target_sparsity = 0.97"):
        assert expected in traced.stdout
    content = json.loads(slimline("lineage", pushed, "--json").stdout)
    nodes = {execution["node"] for execution in content["executions"]}
    assert {"EdgeValidator", "Clusterer", "Pruner", "Trainer", "ImportExampleGen"} <= nodes


def test_a_second_run_takes_every_step_from_the_cache(outcome, root):
    again = slimline("run", "digits", "--root", str(root))
    assert again.returncode == OK, again.stderr
    assert again.stderr.count(": cached") == len(outcome["components"])
    assert f"Pushed {outcome['chosen']}" in again.stdout


def test_nothing_is_pushed_when_nothing_passes_and_the_exit_code_says_so(outcome, root):
    before = sorted((root / "serving").iterdir())
    refused = slimline("run", "tests.e2e.strict:create_pipeline", "--root", str(root))
    assert refused.returncode == NOT_GOOD_ENOUGH, refused.stderr
    assert "Nothing was blessed" in refused.stdout
    assert "confidence), limit -0.5" in refused.stdout
    assert "Closest: Quantizer-" in refused.stdout
    assert "Pusher: done" in refused.stderr
    assert sorted((root / "serving").iterdir()) == before
