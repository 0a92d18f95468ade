import json
import os
import subprocess
import sys

import pytest

from slimline.cli.exit_codes import BAD_INPUT, OK
from slimline.errors import ConfigError
from tests.slimline.cli.test_app import slimline


def test_the_advice_is_a_configuration_to_copy_with_its_reasons(call):
    lines = call("advise", "--target", "edgetpu").stdout.splitlines()
    assert lines[0] == 'QuantizationConfig(scheme="int8", static_batch=True)'
    assert lines[1].startswith("  because: An Edge TPU computes in 8-bit integers only")
    assert lines[-1].startswith("  if that is not good enough: ")


def test_labelled_data_and_a_wish_for_accuracy_lead_to_training(call):
    done = call("advise", "--target", "micro", "--data", "labelled", "--priority", "accuracy")
    assert done.stdout.splitlines()[0] == 'QuantizationConfig(scheme="int8", training="qat", static_batch=True)'


def test_the_lines_are_a_configuration_that_exists(call):
    from slimline.core.quantization.configuration import QuantizationConfig

    for target in ("cpu", "gpu", "edgetpu", "hexagon", "micro"):
        for data in ("unlabelled", "labelled"):
            for priority in ("accuracy", "size", "latency"):
                options = ["--target", target, "--data", data, "--priority", priority]
                line = call("advise", *options).stdout.splitlines()[0]
                config = eval(line, {"QuantizationConfig": QuantizationConfig})
                advice = json.loads(call("advise", *options, "--json").stdout)
                assert (config.scheme, config.training, config.static_batch) == (
                    advice["scheme"],
                    advice["training"],
                    advice["static_batch"],
                )


def test_the_json_has_reasons_and_next_steps(call):
    advice = json.loads(call("advise", "--target", "gpu", "--data", "none", "--json").stdout)
    assert advice["scheme"] == "float16"
    assert advice["reasons"]
    assert advice["next_steps"]


def test_hardware_that_needs_records_is_refused_without_any(call):
    with pytest.raises(ConfigError, match="target='edgetpu' without any records"):
        call("advise", "--target", "edgetpu", "--data", "none")
    assert slimline("advise", "--target", "edgetpu", "--data", "none").returncode == BAD_INPUT


def test_a_wrong_word_is_refused_with_the_right_ones():
    refused = slimline("advise", "--target", "edgtpu")
    assert refused.returncode == BAD_INPUT
    assert "'edgetpu'" in refused.stderr


def test_advice_and_every_help_import_no_tensorflow():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from slimline.cli.app import app\n"
        "for command in ('quantize', 'validate', 'report', 'advise'):\n"
        "    assert CliRunner().invoke(app, [command, '--help']).exit_code == 0\n"
        "    assert CliRunner().invoke(app, [command, '--no-such-option']).exit_code == 2\n"
        "assert CliRunner().invoke(app, ['advise', '--target', 'cpu']).exit_code == 0\n"
        "print([name for name in ('tensorflow', 'tfx', 'ml_metadata', 'apache_beam') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ})
    assert (done.returncode, done.stdout) == (OK, "[]\n"), done.stderr
