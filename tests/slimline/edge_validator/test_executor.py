import json

import pytest
from tfx.components.pusher.executor import Executor as PusherExecutor
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from slimline import EdgeEvaluation, ExamplesConfig, GateConfig, QuantizationConfig, Threshold, names
from slimline.core.digest import model_digest
from slimline.core.model_io import write_tflite
from slimline.core.quantization import quantize
from slimline.edge_validator.executor import EdgeValidatorExecutor
from slimline.errors import ExamplesError, ModelError
from tests.artifacts import examples_artifact, model_artifact, output, schema_artifact

LENIENT = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.02),))
STRICT = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=-0.5),))


@pytest.fixture(scope="module")
def converted(trained):
    return {scheme: quantize(trained, QuantizationConfig(scheme=scheme)) for scheme in ("float32", "float16")}


@pytest.fixture
def inputs(tmp_path, trained, examples_folder, converted):
    artifacts = {
        "baseline": [model_artifact(tmp_path / "baseline", trained)],
        "examples": [examples_artifact(examples_folder)],
        "schema": [schema_artifact(tmp_path / "schema")],
    }
    for number, (scheme, content) in enumerate(converted.items(), start=1):
        folder = tmp_path / scheme
        write_tflite(content, folder)
        candidate = model_artifact(folder)
        candidate.id = number
        candidate.set_string_custom_property(names.SCHEME, scheme)
        artifacts[f"candidate_{number:02}"] = [candidate]
    return artifacts


def validate(inputs, folder, config=LENIENT):
    outputs = {
        "blessing": [output(standard_artifacts.ModelBlessing, folder / "blessing")],
        "blessed_model": [output(standard_artifacts.Model, folder / "blessed_model")],
        "evaluation": [output(EdgeEvaluation, folder / "evaluation")],
    }
    properties = {
        "config": config.to_json(),
        "data": ExamplesConfig(label_key="digit").to_json(),
        "candidate_names": json.dumps(["plain", "half"]),
    }
    EdgeValidatorExecutor().Do(inputs, outputs, properties)
    return {key: artifacts[0] for key, artifacts in outputs.items()}


def push(outputs, folder):
    pushed = output(standard_artifacts.PushedModel, folder / "archive")
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(folder / "serving"))
    )
    PusherExecutor().Do(
        {"model": [outputs["blessed_model"]], "model_blessing": [outputs["blessing"]]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    return pushed


def test_the_smallest_that_passes_is_blessed_and_tfx_pushes_exactly_it(inputs, tmp_path):
    outputs = validate(inputs, tmp_path / "out")
    chosen = tmp_path / "float16"
    assert model_digest(tmp_path / "out" / "blessed_model") == model_digest(chosen)
    for key in ("blessing", "blessed_model"):
        assert outputs[key].get_string_custom_property(names.CONTENT_DIGEST) == model_digest(chosen)
        assert outputs[key].get_string_custom_property(names.CHOSEN) == "half"
    pushed = push(outputs, tmp_path)
    assert pushed.get_int_custom_property("pushed") == 1
    (version,) = (tmp_path / "serving").iterdir()
    assert model_digest(version) == model_digest(chosen)


def test_latest_blessed_model_strategy_finds_the_chosen_candidate(inputs, tmp_path):
    outputs = validate(inputs, tmp_path / "out")
    models = [inputs["candidate_01"][0], inputs["candidate_02"][0]]
    found = LatestBlessedModelStrategy().resolve_artifacts(
        None, {"model": models, "model_blessing": [outputs["blessing"]]}
    )
    assert [model.uri for model in found["model"]] == [str(tmp_path / "float16")]


def test_a_refusal_writes_all_outputs_and_tfx_pushes_nothing(inputs, tmp_path):
    outputs = validate(inputs, tmp_path / "out", STRICT)
    assert outputs["blessing"].get_int_custom_property(names.BLESSED) == 0
    assert outputs["blessed_model"].get_int_custom_property(names.BLESSED) == 0
    assert "over the limit of -0.5" in outputs["blessed_model"].get_string_custom_property(names.REASON)
    assert (tmp_path / "out" / "blessing" / "NOT_BLESSED").exists()
    assert "half" in (tmp_path / "out" / "blessed_model" / "NOT_BLESSED").read_text()
    assert not (tmp_path / "out" / "blessed_model" / "Format-Serving").exists()
    assert json.loads((tmp_path / "out" / "evaluation" / "evaluation.json").read_text())["chosen"] is None
    assert push(outputs, tmp_path).get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


def test_the_evaluation_has_what_a_script_needs(inputs, tmp_path):
    validate(inputs, tmp_path / "out")
    evaluation = json.loads((tmp_path / "out" / "evaluation" / "evaluation.json").read_text())
    assert evaluation["schema_version"] == 1
    assert evaluation["num_examples"] == 200
    keys = {"name", "scheme", "size_bytes", "gzip_bytes", "metrics", "drop", "latency_ms", "verdict", "reasons"}
    for candidate in evaluation["candidates"]:
        assert keys <= set(candidate)
    assert [candidate["scheme"] for candidate in evaluation["candidates"]] == ["float32", "float16"]


def test_an_unreadable_candidate_is_refused_and_the_others_are_judged(inputs, tmp_path):
    (tmp_path / "float16" / "Format-Serving" / "tflite").write_bytes(b"garbage")
    outputs = validate(inputs, tmp_path / "out")
    assert outputs["blessing"].get_string_custom_property(names.CHOSEN) == "plain"


def test_without_a_baseline_nothing_is_written(inputs, tmp_path):
    inputs["baseline"] = [model_artifact(tmp_path / "nothing")]
    with pytest.raises(ModelError, match="no folder"):
        validate(inputs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_eval_split_is_refused_and_nothing_is_written(inputs, tmp_path):
    (tmp_path / "empty" / "Split-eval").mkdir(parents=True)
    inputs["examples"] = [examples_artifact(tmp_path / "empty", ("eval",))]
    with pytest.raises(ExamplesError, match="no files"):
        validate(inputs, tmp_path / "out")
    assert not (tmp_path / "out").exists()
