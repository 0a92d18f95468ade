import io
import json

import pytest
from rich.console import Console

from slimline.cli.exit_codes import BAD_INPUT, OK
from slimline.cli.inspecting import print_preflight
from tests import zoo
from tests.slimline.cli.test_app import slimline


def finding(technique, verdict="applies", left=(), blockers=()):
    return {"technique": technique, "verdict": verdict, "covered_share": 0.5, "left": left, "blockers": blockers}


def layer(name):
    return {"name": name, "type": "Dense", "num_parameters": 1, "reason": "it is [odd]"}


def printed(*findings):
    stream = io.StringIO()
    preflight = {"name": "model", "kind": "functional", "num_parameters": 1234, "findings": findings}
    print_preflight(preflight, Console(file=stream, width=100))
    return stream.getvalue()


def test_a_reason_stands_once_for_all_its_techniques():
    shown = printed(finding("pruning", "refused", blockers=["no"]), finding("qat", "refused", blockers=["no"]))
    assert "1,234 parameters" in shown
    assert "pruning, qat refused: no" in shown


def test_layers_of_one_reason_stand_together_and_the_many_are_counted():
    shown = printed(finding("qat", "partly", left=[layer(f"dense_{number}") for number in range(6)]))
    assert "dense_0 (Dense), dense_1 (Dense), dense_2 (Dense), dense_3 (Dense) and 2 more: it is [odd]" in shown
    assert "50.0%" in shown


@pytest.mark.slow
def test_a_model_is_inspected_from_its_folder(tmp_path):
    zoo.ds_cnn().model.save(tmp_path / "model.keras")
    shown = slimline("inspect", str(tmp_path / "model.keras"), "--json")
    assert shown.returncode == OK, shown.stderr
    verdicts = {found["technique"]: found["verdict"] for found in json.loads(shown.stdout)["findings"]}
    assert verdicts == {"pruning": "partly", "clustering": "partly", "qat": "applies", "ptq": "applies"}
    refused = slimline("inspect", str(tmp_path / "none"))
    assert refused.returncode == BAD_INPUT
    assert "nothing at" in refused.stderr
