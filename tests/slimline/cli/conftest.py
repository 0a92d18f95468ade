"""What people give to commands: a trained model, records, and files made of it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from slimline.cli.app import app
from slimline.core.models.saving import save_keras_model, write_tflite
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from tests.conftest import example, write_records


@pytest.fixture
def call(monkeypatch):
    """Calls a command in this process; errors of users are raised as they are."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope="session")
def model_folder(trained, tmp_path_factory) -> Path:
    """A model as a Trainer exports it."""
    folder = tmp_path_factory.mktemp("model")
    save_keras_model(trained, folder)
    return folder


@pytest.fixture(scope="session")
def calibration_folder(digits, tmp_path_factory) -> Path:
    """As a CalibrationSampler leaves it."""
    folder = tmp_path_factory.mktemp("calibration")
    images, labels = digits
    records = [example(image, int(label)) for image, label in zip(images[:40], labels[:40], strict=True)]
    write_records(folder / "records.tfrecord.gz", records)
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.fixture(scope="session")
def candidate_folders(trained, digits, tmp_path_factory) -> dict[str, Path]:
    """Files of two schemes as a Quantizer leaves them, with the name of the scheme in a report."""
    folders = {}
    images = digits[0][:40]
    for scheme in ("float16", "int8"):
        folder = tmp_path_factory.mktemp("quantized") / scheme
        records = None if scheme == "float16" else lambda: ({"image": image[np.newaxis]} for image in images)
        write_tflite(quantize(trained, QuantizationConfig(scheme=scheme), records), folder)
        (folder / "quantization_report.json").write_text(f'{{"scheme": "{scheme}"}}')
        folders[scheme] = folder
    return folders


@pytest.fixture(scope="session")
def eval_split(examples_folder) -> Path:
    return examples_folder / "Split-eval"


@pytest.fixture
def other_split(digits, tmp_path) -> Path:
    """Records that are in no split."""
    images, labels = digits
    pairs = zip(images[:30] / 3, labels[:30], strict=True)
    write_records(tmp_path / "others.tfrecord.gz", [example(image, int(label)) for image, label in pairs])
    return tmp_path / "others.tfrecord.gz"
