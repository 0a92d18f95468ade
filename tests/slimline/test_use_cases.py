"""What a component does and what a command does is the same: they call one function of core."""

import json

import pytest
from tfx.types import standard_artifacts

from slimline import CalibrationDataset, EdgeEvaluation, ExamplesConfig, GateConfig, QuantizationConfig, Threshold
from slimline.cli.quantizing import QuantizeArguments, quantize_path
from slimline.cli.validating import ValidateArguments, validate_paths
from slimline.edge_validator.executor import EdgeValidatorExecutor
from slimline.names import file_names, metadata_keys
from slimline.quantizer.executor import QuantizerExecutor
from tests.artifacts import examples_artifact, model_artifact, output, schema_artifact
from tests.conftest import example, write_records

GATE = {"thresholds": [{"metric": "accuracy", "max_drop": 0.1}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("both")


@pytest.fixture(scope="module")
def model(trained, folder):
    return model_artifact(folder / "model", trained)


@pytest.fixture(scope="module")
def schema(folder):
    return schema_artifact(folder / "schema")


@pytest.fixture(scope="module")
def records(digits, folder):
    """Splits that share their first 50 records, and a calibration sample."""
    images, labels = digits
    listed = [example(image, int(label)) for image, label in zip(images[:150], labels[:150], strict=True)]
    write_records(folder / "examples" / "Split-train" / "a.gz", listed[:100])
    write_records(folder / "examples" / "Split-eval" / "a.gz", [*listed[:50], *listed[100:]])
    write_records(folder / "calibration" / file_names.CALIBRATION_RECORDS, listed[:40])
    return folder


@pytest.fixture(scope="module")
def quantized(model, schema, records, folder):
    """Of the component."""
    inputs = {"model": [model], "schema": [schema], "calibration": [output(CalibrationDataset, folder / "calibration")]}
    made = output(standard_artifacts.Model, folder / "quantized")
    data = ExamplesConfig(label_key="digit").to_json()
    properties = {"config": QuantizationConfig(scheme="int8").to_json(), "data": data}
    QuantizerExecutor().Do(inputs, {"quantized_model": [made], "model_run": []}, properties)
    return made


def test_quantizing_gives_the_same_files(quantized, model, schema, folder, tmp_path):
    quantize_path(
        QuantizeArguments(
            folder / "model",
            tmp_path / "out",
            {"scheme": "int8"},
            calibration=[folder / "calibration"],
            schema=folder / "schema" / "schema.pbtxt",
            label_key="digit",
        )
    )
    written = (path for path in (folder / "quantized").rglob("*") if path.name != "steps.jsonl")
    names = sorted(path.relative_to(folder / "quantized") for path in written)
    assert names == sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*"))
    files = [name for name in names if (folder / "quantized" / name).is_file()]
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "out" / name).read_bytes() == (folder / "quantized" / name).read_bytes()


def test_validating_gives_the_same_verdict_and_knows_the_same_examples(quantized, model, schema, folder, tmp_path):
    inputs = {
        "baseline": [model],
        "examples": [examples_artifact(folder / "examples")],
        "schema": [schema],
        "candidate_01": [quantized],
    }
    keys = {
        "blessing": standard_artifacts.ModelBlessing,
        "infra_blessing": standard_artifacts.InfraBlessing,
        "blessed_model": standard_artifacts.Model,
        "evaluation": EdgeEvaluation,
    }
    config = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.1),))
    properties = {
        "config": config.to_json(),
        "data": ExamplesConfig(label_key="digit").to_json(),
        "candidate_names": json.dumps(["quantized"]),
    }
    outputs = {key: [output(kind, tmp_path / key)] for key, kind in keys.items()}
    EdgeValidatorExecutor().Do(inputs, outputs, properties)
    of_component = json.loads((tmp_path / "evaluation" / file_names.EVALUATION).read_text())
    of_command = validate_paths(
        ValidateArguments(
            baseline=folder / "model",
            candidates=[folder / "quantized"],
            examples=[folder / "examples" / "Split-eval"],
            gate=GATE,
            label_key="digit",
            schema=folder / "schema" / "schema.pbtxt",
            training=[folder / "examples" / "Split-train"],
        )
    )
    assert of_component["chosen"] == of_command["chosen"] == "quantized"
    assert of_component["num_examples"] == of_command["num_examples"] == 100
    for side in (of_component, of_command):
        assert any(warning.startswith("50 of 100 examples looked for are in ") for warning in side["warnings"])
    (one,), (other,) = of_component["candidates"], of_command["candidates"]
    for field in ("scheme", "content_digest", "size_bytes", "metrics", "drop", "verdict", "slices"):
        assert json.loads(json.dumps(other[field])) == one[field], field
    assert quantized.get_string_custom_property(metadata_keys.CONTENT_DIGEST) == one["content_digest"]
