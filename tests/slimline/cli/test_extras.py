"""Commands without the packages of extras: an import of one is refused as if it were not installed."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from slimline.cli.extras import _EXTRAS
from tests.small_models import small_model

PROJECT = Path(__file__).parents[3]
WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {refused!r} else found(name, package)
sys.argv[0] = "slimline"
from slimline.cli import main
main()
"""


def run_without(*arguments: object, refused: frozenset[str] = frozenset(_EXTRAS)) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(refused=set(refused)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("run", "digits"), "tfx"),
        (("demo",), "tfx"),
        (("compile", "digits", "-o", "digits.yaml", "--image", "i:1"), "tfx"),
        (("audit", __file__), "lineage"),
        (("lineage", __file__), "lineage"),
    ],
)
def test_a_command_says_which_extra_it_needs(arguments, extra):
    ran = run_without(*arguments)
    assert (ran.returncode, f'pip install "slimline[{extra}]"' in ran.stderr) == (2, True), ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_keras_model_is_inspected_and_quantized_without_any_extra(tmp_path):
    small_model().save(tmp_path / "model.keras")
    for arguments in (
        ("inspect", tmp_path / "model.keras"),
        ("quantize", tmp_path / "model.keras", "--scheme", "float16", "-o", tmp_path / "out"),
        ("advise", "--target", "cpu"),
        ("--help",),
    ):
        ran = run_without(*arguments)
        assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "Format-Serving" / "tflite").is_file()


def test_every_extra_that_a_message_names_is_one_of_the_project():
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(_EXTRAS.values()) <= set(extras)
