"""One real run with TFX's Transform between the data and the Trainer."""

import json

import pytest

from slimline.cli.exit_codes import OK
from tests.e2e.test_digits import slimline

pytestmark = pytest.mark.slow


def test_transformed_examples_and_their_schema_lead_to_a_blessed_model(tmp_path):
    ran = slimline("run", "tests.e2e.transformed:create_pipeline", "--root", str(tmp_path), "--json")
    assert ran.returncode == OK, ran.stderr
    outcome = json.loads(ran.stdout)
    assert outcome["chosen"] == "Quantizer"
    assert outcome["num_examples"] == 450
    (candidate,) = outcome["candidates"]
    assert candidate["metrics"]["accuracy"] > 0.95
    assert outcome["nearest_miss"] is None
    (page,) = tmp_path.rglob("evaluation.html")
    assert "Quantizer may ship" in page.read_text()
