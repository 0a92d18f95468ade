import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from slimline.cli.exit_codes import BAD_INPUT, OK
from slimline.cli.inspecting import print_preflight
from slimline.core.inspection import Finding, LayerLeft, Preflight
from tests import zoo
from tests.slimline.cli.test_app import slimline


def finding(technique, verdict="applies", left=(), blockers=()):
    return Finding(technique, verdict, 0.5, tuple(left), tuple(blockers))


def layer(name):
    return LayerLeft(name, "Dense", 1, "it is [odd]")


def printed(*findings, width=100):
    stream = io.StringIO()
    preflight = Preflight("model", "functional", 1234, findings)
    print_preflight(preflight, Console(file=stream, width=width))
    return stream.getvalue()


def test_a_reason_stands_once_for_all_its_techniques():
    shown = printed(finding("pruning", "refused", blockers=["no"]), finding("qat", "refused", blockers=["no"]))
    assert "1,234 parameters" in shown
    assert "pruning, qat refused: no" in shown


def test_layers_of_one_reason_stand_together_and_the_many_are_counted():
    shown = printed(finding("qat", "partly", left=[layer(f"dense_{number}") for number in range(6)]))
    assert "dense_0 (Dense), dense_1 (Dense), dense_2 (Dense), dense_3 (Dense) and 2 more: it is [odd]" in shown
    assert "50.0%" in shown


def test_a_row_for_each_technique_with_its_verdict_and_share():
    refused = replace(finding("qat", "refused"), covered_share=0.0)
    lines = [line.split() for line in printed(finding("pruning"), refused, finding("ptq", "partly")).splitlines()]
    for row in (["pruning", "applies", "50.0%"], ["qat", "refused", "0.0%"], ["ptq", "partly", "50.0%"]):
        assert row in lines


@pytest.mark.parametrize("width", [30, 200])
def test_reasons_are_printed_as_they_are_and_in_one_line_each(width):
    blocker = "the layer [bold]odd[/] " + "does so many things " * 9 + "that it can't be copied"
    shown = printed(finding("qat", "refused", blockers=[blocker]), width=width)
    assert f"qat refused: {blocker}" in shown.splitlines()


def test_four_layers_are_all_named_and_other_reasons_stand_apart():
    odd = replace(layer("other"), reason="it is even")
    shown = printed(finding("qat", "partly", left=[odd, *(layer(f"dense_{number}") for number in range(4))]))
    assert "qat leaves dense_0 (Dense), dense_1 (Dense), dense_2 (Dense), dense_3 (Dense): it is [odd]" in shown
    assert "qat leaves other (Dense): it is even" in shown
    assert "more" not in shown


@pytest.mark.slow
def test_a_model_is_inspected_as_a_table(tmp_path):
    zoo.preprocessing().model.save(tmp_path / "Format-Serving")
    shown = slimline("inspect", str(tmp_path))
    assert shown.returncode == OK, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == "model: functional, 291 parameters"
    assert [line.split()[:2] for line in lines if "%" in line] == [
        ["pruning", "applies"],
        ["clustering", "applies"],
        ["qat", "partly"],
        ["ptq", "applies"],
    ]
    assert "qat leaves rescale (Rescaling): TFMOT trains no Rescaling to be quantized" in lines


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
