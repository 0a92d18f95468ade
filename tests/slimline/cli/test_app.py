import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from slimline.cli.app import app
from slimline.cli.exit_codes import BAD_INPUT, FAILED

README = (Path(__file__).parents[3] / "README.md").read_text()
COMMANDS = typer.main.get_group(app).commands


def slimline(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a person does."""
    program = Path(sys.executable).with_name("slimline")
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, cwd=cwd, env=environment)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_and_stands_in_the_readme(command):
    shown = slimline(command, "--help")
    assert shown.returncode == 0
    description = COMMANDS[command].help
    assert description
    assert description in " ".join(shown.stdout.split())
    assert f"slimline {command}" in README


def test_the_exit_codes_are_told_by_the_help():
    shown = " ".join(slimline("--help").stdout.split())
    assert "0 done, 1 crashed, 2 bad input, 3 not good enough, 4 undecided" in shown


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "digts"], "Did you mean 'digits'"),
        (["run", "digits", "--runner", "airflow"], "'local', 'beam'"),
        (["run", "digits", "--rot", "x"], "--root"),
        (["compile", "digits", "-o", "digits.yaml"], "no --image"),
        (["compile", "digits", "-o", "digits.json", "--image", "i"], "ending in .yaml"),
        (["compile", "digits", "-o", "digits.yaml", "--image", "i", "--format", "vertex"], "ending in .json"),
        (["compile", "digits", "-o", "digits.yaml", "--image", "i", "--format", "argo"], "kubeflow"),
        (["compile", "digits", "-o", "d.yaml", "--image", "i", "--resources", "Pruner"], "ID:cpu=4"),
        (
            ["compile", "digits", "-o", "d.yaml", "--image", "i", "--resources", "Pruner:cpu=four"],
            "cores, as 4 or 500m",
        ),
        (["compile", "digits", "-o", "d.yaml", "--image", "i", "--pvc", "data"], "CLAIM:PATH"),
        (["compile", "digits", "-o", "d.yaml", "--image", "i", "--secret-env", "A=b"], "NAME=OBJECT:KEY"),
        (["compile", "digits", "-o", "no/such/folder/digits.yaml", "--image", "i"], "a folder that exists"),
        (["kubeflow", "run-local", "no-such.yaml"], "no file no-such.yaml"),
        (["lineage", "no-such-file"], "nothing at no-such-file"),
        (["lineage", __file__, "--metadata", "none.sqlite"], "no file none.sqlite"),
        (["no-such-command"], "No such command"),
        (["quantize", "model", "-o", "out"], "--scheme"),
        (["quantize", "no-model", "-o", "out", "--scheme", "int8"], "nothing at no-model"),
        (["quantize", "m", "-o", "out", "--scheme", "int8", "--input-feature", "x"], "INPUT=FEATURE"),
        (["validate", "no-model", "no-file", "--examples", "x", "--max-drop", "0.1"], "nothing at no-model"),
        (["validate", "m", "f", "--examples", "x", "--config", "gate.json"], "no file gate.json"),
        (["validate", "m", "f"], "--examples"),
        (["report", "no-folder"], "no evaluation.json at or below no-folder"),
    ],
)
def test_bad_input_says_what_to_do_and_exits_with_its_code(arguments, hint, tmp_path):
    refused = slimline(*arguments, cwd=tmp_path)
    assert refused.returncode == BAD_INPUT
    assert hint in refused.stderr
    assert not refused.stdout
    assert not list(tmp_path.iterdir())


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    refused = slimline("run", "digits", "--root", str(tmp_path / "file" / "root"))
    assert refused.returncode == BAD_INPUT
    assert "where nothing can be written" in refused.stderr


def test_a_pipeline_that_can_not_be_imported_is_refused(tmp_path):
    refused = slimline("run", "nowhere.pipeline:create", "--root", str(tmp_path / "root"), cwd=tmp_path)
    assert refused.returncode == BAD_INPUT
    assert "no module 'nowhere'" in refused.stderr


def test_a_function_with_a_typo_is_refused_with_the_near_miss(tmp_path):
    (tmp_path / "mine.py").write_text("def create_pipeline(root):\n    return None\n")
    refused = slimline("run", "mine:create_pipline", "--root", "root", cwd=tmp_path)
    assert refused.returncode == BAD_INPUT
    assert "Did you mean 'create_pipeline'" in refused.stderr
    refused = slimline("run", "mine:create_pipeline", "--root", "root", cwd=tmp_path)
    assert "returned NoneType" in refused.stderr


def test_a_bug_is_told_from_bad_input_and_its_traceback_is_kept(tmp_path):
    (tmp_path / "mine.py").write_text("def create_pipeline(root):\n    return 1 / 0\n")
    crashed = slimline("run", "mine:create_pipeline", "--root", "root", cwd=tmp_path)
    assert crashed.returncode == FAILED
    assert "ZeroDivisionError" in crashed.stderr
    (log,) = (tmp_path / "root" / "logs").iterdir()
    assert "return 1 / 0" in log.read_text()


def test_a_child_that_is_killed_is_reported(tmp_path):
    (tmp_path / "mine.py").write_text("import os\n\ndef create_pipeline(root):\n    os.abort()\n")
    crashed = slimline("run", "mine:create_pipeline", "--root", "root", cwd=tmp_path)
    assert crashed.returncode == FAILED
    assert "crashed with SIGABRT" in crashed.stderr
