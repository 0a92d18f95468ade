"""A real evaluation, as its JSON is read again."""

import json
from typing import Any

import numpy as np
import pytest

from slimline.core.evaluation.conclusion import conclude
from slimline.core.evaluation.evaluator import Evaluator
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.running_candidate import Candidate
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.errors import ModelError


@pytest.fixture(scope="session")
def evaluated(trained, digits, schema, examples_folder) -> dict[str, Any]:
    """Of a float, an int8 and an unreadable candidate, by digit, for a CPU and an Edge TPU."""
    images = digits[0][:50]
    calibration = lambda: ({"image": image[np.newaxis]} for image in images)  # noqa: E731
    candidates = [
        Candidate("float16", "float16", quantize(trained, QuantizationConfig(scheme="float16"))),
        Candidate("int8", "int8", quantize(trained, QuantizationConfig(scheme="int8", static_batch=True), calibration)),
        Candidate("broken", "", ModelError("no file there", "a file", "make it")),
    ]
    config = GateConfig(
        thresholds=({"metric": "accuracy", "max_drop": 0.1, "slice": "*"},),
        metrics=("agreement",),
        slices=({"features": ("digit",)},),
        min_slice_examples=10,
        undecided="bless",
        targets=({"target": "cpu"}, {"target": "edgetpu"}),
    )
    files = [str(path) for path in sorted((examples_folder / "Split-eval").iterdir())]
    with Evaluator(trained, candidates, config, schema, ExamplesConfig(label_key="digit")) as evaluator:
        tallies = evaluator.evaluate_files(files)
        example = evaluator.first_examples(files)
    concluded = conclude(trained, candidates, tallies, example, config, warnings=["two records are in both splits"])
    return json.loads(json.dumps(concluded.to_dict(), allow_nan=False))
