import hashlib
import json

import numpy as np
import pytest
import tf_keras
from tfx.components.pusher.executor import Executor as PusherExecutor
from tfx.components.util import model_utils
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from slimline import EdgeEvaluation, ExamplesConfig, GateConfig, QuantizationConfig, Threshold
from slimline.core.digest import model_digest
from slimline.core.evaluation import conclusion as evaluation_module
from slimline.core.evaluation import use_case
from slimline.core.models.saving import write_tflite
from slimline.core.quantization.conversion import quantize
from slimline.edge_validator.executor import EdgeValidatorExecutor
from slimline.errors import ExamplesError, ModelError
from slimline.names import metadata_keys
from slimline.transforms import evaluation as evaluations
from tests.artifacts import examples_artifact, model_artifact, output, schema_artifact
from tests.conftest import example, write_records

LENIENT = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.03),))
STRICT = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=-0.5),))


@pytest.fixture(scope="module")
def converted(trained):
    return {scheme: quantize(trained, QuantizationConfig(scheme=scheme)) for scheme in ("float32", "float16")}


@pytest.fixture
def inputs(tmp_path, trained, examples_folder, converted):
    return make_inputs(tmp_path, trained, examples_folder, converted)


@pytest.fixture(scope="module")
def validated(tmp_path_factory, trained, examples_folder, converted):
    """A folder, inputs and outputs of a run that blesses a candidate."""
    folder = tmp_path_factory.mktemp("validated")
    inputs = make_inputs(folder, trained, examples_folder, converted)
    return folder, inputs, validate(inputs, folder / "out")


def make_inputs(tmp_path, trained, examples_folder, converted):
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
        candidate.set_string_custom_property(metadata_keys.SCHEME, scheme)
        artifacts[f"candidate_{number:02}"] = [candidate]
    return artifacts


def validate(inputs, folder, config=LENIENT):
    outputs = {
        "blessing": [output(standard_artifacts.ModelBlessing, folder / "blessing")],
        "infra_blessing": [output(standard_artifacts.InfraBlessing, folder / "infra_blessing")],
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
        {
            "model": [outputs["blessed_model"]],
            "model_blessing": [outputs["blessing"]],
            "infra_blessing": [outputs["infra_blessing"]],
        },
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    return pushed


def test_the_smallest_that_passes_is_blessed_and_tfx_pushes_exactly_it(validated):
    tmp_path, _, outputs = validated
    chosen = tmp_path / "float16"
    assert model_digest(tmp_path / "out" / "blessed_model") == model_digest(chosen)
    for key in ("blessing", "blessed_model"):
        assert outputs[key].get_string_custom_property(metadata_keys.CONTENT_DIGEST) == model_digest(chosen)
        assert outputs[key].get_string_custom_property(metadata_keys.CHOSEN) == "half"
    assert outputs["blessed_model"].get_string_custom_property(metadata_keys.SCHEME) == "float16"
    assert (tmp_path / "out" / "blessing" / "BLESSED").exists()
    assert (tmp_path / "out" / "infra_blessing" / "INFRA_BLESSED").exists()
    assert model_utils.is_model_blessed(outputs["blessing"])
    assert model_utils.is_infra_validated(outputs["infra_blessing"])
    pushed = push(outputs, tmp_path)
    assert pushed.get_int_custom_property("pushed") == 1
    (version,) = (tmp_path / "serving").iterdir()
    assert model_digest(version) == model_digest(chosen)


def test_latest_blessed_model_strategy_finds_the_chosen_candidate(validated):
    tmp_path, inputs, outputs = validated
    models = [inputs["candidate_01"][0], inputs["candidate_02"][0]]
    found = LatestBlessedModelStrategy().resolve_artifacts(
        None, {"model": models, "model_blessing": [outputs["blessing"]]}
    )
    assert [model.uri for model in found["model"]] == [str(tmp_path / "float16")]


def test_a_refusal_writes_all_outputs_and_tfx_pushes_nothing(inputs, tmp_path, caplog):
    with caplog.at_level("INFO", "slimline"):
        outputs = validate(inputs, tmp_path / "out", STRICT)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned[0].startswith("EdgeValidator: Nothing may ship. half: accuracy drop")
    assert "EdgeValidator: plain: fail, confidence 0.0%" in warned
    assert outputs["blessing"].get_int_custom_property(metadata_keys.BLESSED) == 0
    assert outputs["blessed_model"].get_int_custom_property(metadata_keys.BLESSED) == 0
    assert not model_utils.is_model_blessed(outputs["blessing"])
    assert not model_utils.is_infra_validated(outputs["infra_blessing"])
    assert "limit -0.5" in outputs["blessed_model"].get_string_custom_property(metadata_keys.REASON)
    assert (tmp_path / "out" / "blessing" / "NOT_BLESSED").exists()
    assert "half" in (tmp_path / "out" / "blessed_model" / "NOT_BLESSED").read_text()
    assert not (tmp_path / "out" / "blessed_model" / "Format-Serving").exists()
    assert (tmp_path / "out" / "infra_blessing" / "INFRA_NOT_BLESSED").exists()
    evaluation = read(tmp_path)
    assert (evaluation["chosen"], evaluation["nearest_miss"]) == (None, "half")
    assert outputs["evaluation"].get_string_custom_property(metadata_keys.DECISION) == "fail"
    assert push(outputs, tmp_path).get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


def read(folder):
    """Reads the evaluation as strict JSON."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads((folder / "out" / "evaluation" / "evaluation.json").read_text(), parse_constant=refuse)


def test_the_evaluation_has_what_a_script_needs_and_a_page_for_people(validated):
    tmp_path, _, outputs = validated
    evaluation = read(tmp_path)
    assert evaluation["schema_version"] == 2
    assert evaluation["num_examples"] == 200
    keys = {"name", "scheme", "size_bytes", "gzip_bytes", "metrics", "drop", "latency_ms", "verdict", "reasons"}
    for candidate in evaluation["candidates"]:
        assert keys <= set(candidate)
    assert [candidate["scheme"] for candidate in evaluation["candidates"]] == ["float32", "float16"]
    assert evaluation["warnings"] == []
    assert GateConfig(**evaluation["config"]) == LENIENT
    page = (tmp_path / "out" / "evaluation" / "evaluation.html").read_text()
    assert "half" in page
    assert "plain" in page
    written = outputs["evaluation"]
    digest = hashlib.sha256((tmp_path / "out" / "evaluation" / "evaluation.json").read_bytes()).hexdigest()
    assert written.get_string_custom_property(metadata_keys.CONTENT_DIGEST) == f"sha256:{digest}"
    assert written.get_string_custom_property(metadata_keys.BASELINE_DIGEST) == model_digest(tmp_path / "baseline")
    assert written.get_string_custom_property(metadata_keys.CHOSEN) == "half"
    accuracy = float(written.get_string_custom_property(f"{metadata_keys.BASELINE_PREFIX}accuracy"))
    assert accuracy == evaluation["baseline"]["metrics"]["accuracy"]


def test_only_whole_outputs_are_left(validated):
    tmp_path, _, _ = validated
    assert sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    ) == [
        "blessed_model/Format-Serving/steps.jsonl",
        "blessed_model/Format-Serving/tflite",
        "blessed_model/steps.jsonl",
        "blessing/BLESSED",
        "blessing/steps.jsonl",
        "evaluation/evaluation.html",
        "evaluation/evaluation.json",
        "evaluation/steps.jsonl",
        "infra_blessing/INFRA_BLESSED",
        "infra_blessing/steps.jsonl",
    ]
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]
    assert not evaluations._open


def test_examples_that_were_trained_on_are_warned_of(inputs, tmp_path, digits):
    records = [example(image, int(label)) for image, label in zip(digits[0][:120], digits[1][:120], strict=True)]
    write_records(tmp_path / "overlap" / "Split-train" / "data.gz", records[:100])
    write_records(tmp_path / "overlap" / "Split-eval" / "data.gz", records[60:])
    inputs["examples"] = [examples_artifact(tmp_path / "overlap")]
    validate(inputs, tmp_path / "out", LENIENT.model_copy(update={"confidence": None}))
    (warning,) = read(tmp_path)["warnings"]
    assert warning.startswith("40 of 60 examples looked for are in split 'train' as well")
    assert "40 of 60" in (tmp_path / "out" / "evaluation" / "evaluation.html").read_text()


def test_without_a_training_split_the_overlap_is_not_checked(inputs, tmp_path, digits):
    records = [example(image, int(label)) for image, label in zip(digits[0][:40], digits[1][:40], strict=True)]
    write_records(tmp_path / "eval" / "Split-eval" / "data.gz", records)
    inputs["examples"] = [examples_artifact(tmp_path / "eval", ("eval",))]
    bare = LENIENT.model_copy(update={"confidence": None})
    validate(inputs, tmp_path / "out", bare.model_copy(update={"training_split": None}))
    assert read(tmp_path)["warnings"] == []
    validate(inputs, tmp_path / "again" / "out", bare)
    (warning,) = read(tmp_path / "again")["warnings"]
    assert warning.startswith("It was not checked whether examples were trained on: no split 'train'")


def test_an_unreadable_candidate_is_refused_and_the_others_are_judged(inputs, tmp_path):
    (tmp_path / "float16" / "Format-Serving" / "tflite").write_bytes(b"garbage")
    outputs = validate(inputs, tmp_path / "out")
    assert outputs["blessing"].get_string_custom_property(metadata_keys.CHOSEN) == "plain"
    assert "is not a file that LiteRT can load" in read(tmp_path)["candidates"][1]["reasons"][0]


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file() or path.name == "partial"]


def test_without_a_baseline_nothing_is_written(inputs, tmp_path):
    inputs["baseline"] = [model_artifact(tmp_path / "nothing")]
    with pytest.raises(Exception, match="no folder"):
        validate(inputs, tmp_path / "out")
    assert not files_of(tmp_path / "out")


def test_a_baseline_that_predicts_nan_ends_the_component_and_nothing_is_blessed(inputs, tmp_path, trained):
    copy = tf_keras.models.clone_model(trained)
    copy.set_weights([np.full_like(weight, np.nan) for weight in trained.get_weights()])
    inputs["baseline"] = [model_artifact(tmp_path / "poisoned", copy)]
    with pytest.raises(Exception, match="a baseline that predicts NaN"):
        validate(inputs, tmp_path / "out")
    assert not files_of(tmp_path / "out")
    assert not evaluations._open


def test_an_empty_eval_split_is_refused_and_nothing_is_written(inputs, tmp_path):
    (tmp_path / "empty" / "Split-eval").mkdir(parents=True)
    inputs["examples"] = [examples_artifact(tmp_path / "empty", ("eval",))]
    with pytest.raises(ExamplesError, match="no files"):
        validate(inputs, tmp_path / "out")
    assert not files_of(tmp_path / "out")


def test_a_split_without_a_record_is_refused_and_nothing_is_written(inputs, tmp_path):
    write_records(tmp_path / "empty" / "Split-eval" / "data.gz", [])
    inputs["examples"] = [examples_artifact(tmp_path / "empty", ("eval",))]
    with pytest.raises(ExamplesError, match="no examples to evaluate on"):
        validate(inputs, tmp_path / "out")
    assert not files_of(tmp_path / "out")


def test_a_broken_file_is_named_and_nothing_is_written(inputs, tmp_path, digits):
    broken = write_records(
        tmp_path / "broken" / "Split-eval" / "data", [example(digits[0][0], 1)] * 2, compressed=False
    )
    broken.write_bytes(broken.read_bytes()[:-1])
    inputs["examples"] = [examples_artifact(tmp_path / "broken", ("eval",))]
    with pytest.raises(ExamplesError, match=str(broken)):
        validate(inputs, tmp_path / "out")
    assert not files_of(tmp_path / "out")


def test_a_candidate_that_changes_while_it_is_validated_is_not_blessed(inputs, tmp_path, monkeypatch):
    conclude = evaluation_module.conclude

    def change(*arguments, **options):
        evaluation = conclude(*arguments, **options)
        (tmp_path / "float16" / "Format-Serving" / "tflite").write_bytes(b"another")
        return evaluation

    monkeypatch.setattr(use_case, "conclude", change)
    with pytest.raises(ModelError, match="a model that does not change"):
        validate(inputs, tmp_path / "out")
    assert not (tmp_path / "out" / "blessing").exists()


def serving(tmp_path, name="float16"):
    return tmp_path / name / "Format-Serving"


def with_io_spec(inputs, tmp_path, text="{}"):
    """Puts an `io_spec.json` with its recorded digest beside the candidate that wins, as a Quantizer does."""
    (serving(tmp_path) / "io_spec.json").write_text(text)
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    inputs["candidate_02"][0].set_string_custom_property(metadata_keys.IO_SPEC_DIGEST, digest)


def test_side_files_ship_when_their_digests_are_recorded_and_nothing_else_does(inputs, tmp_path):
    with_io_spec(inputs, tmp_path)
    (serving(tmp_path) / "payload.so").write_bytes(b"foreign")
    (serving(tmp_path) / "link").symlink_to("/etc/passwd")
    validate(inputs, tmp_path / "out")
    shipped = sorted(path.name for path in serving(tmp_path / "out", "blessed_model").iterdir())
    assert shipped == ["io_spec.json", "steps.jsonl", "tflite"]


def test_files_that_are_not_the_recorded_ones_reject_their_candidate(inputs, tmp_path, converted):
    with_io_spec(inputs, tmp_path)
    (serving(tmp_path) / "io_spec.json").write_text('{"scale": 2}')
    digest = "sha256:" + hashlib.sha256(converted["float16"]).hexdigest()
    inputs["candidate_01"][0].set_string_custom_property(metadata_keys.CONTENT_DIGEST, digest)
    outputs = validate(inputs, tmp_path / "out")
    assert outputs["blessing"].get_int_custom_property(metadata_keys.BLESSED) == 0
    plain, half = read(tmp_path)["candidates"]
    assert "tflite with the digest" in plain["reasons"][0]
    assert "io_spec.json with the digest" in half["reasons"][0]


def test_a_side_file_that_changes_while_it_is_validated_is_not_shipped(inputs, tmp_path, monkeypatch):
    with_io_spec(inputs, tmp_path)
    conclude = evaluation_module.conclude

    def change(*arguments, **options):
        evaluation = conclude(*arguments, **options)
        (serving(tmp_path) / "io_spec.json").write_text('{"scale": 2}')
        return evaluation

    monkeypatch.setattr(use_case, "conclude", change)
    with pytest.raises(ModelError, match=r"io_spec.json with the digest"):
        validate(inputs, tmp_path / "out")
    assert not files_of(tmp_path / "out")


def test_no_link_is_followed(inputs, tmp_path):
    for place in (serving(tmp_path), serving(tmp_path, "float32") / "tflite"):
        place.rename(tmp_path / f"elsewhere-{place.name}")
        place.symlink_to(tmp_path / f"elsewhere-{place.name}")
    outputs = validate(inputs, tmp_path / "out")
    assert outputs["blessing"].get_int_custom_property(metadata_keys.BLESSED) == 0
    assert all("no file" in candidate["reasons"][0] for candidate in read(tmp_path)["candidates"])


def test_a_second_run_on_the_same_outputs_leaves_nothing_that_contradicts_it(inputs, tmp_path):
    outputs = {
        "blessing": [output(standard_artifacts.ModelBlessing, tmp_path / "out" / "blessing")],
        "infra_blessing": [output(standard_artifacts.InfraBlessing, tmp_path / "out" / "infra_blessing")],
        "blessed_model": [output(standard_artifacts.Model, tmp_path / "out" / "blessed_model")],
        "evaluation": [output(EdgeEvaluation, tmp_path / "out" / "evaluation")],
    }
    properties = {"data": ExamplesConfig(label_key="digit").to_json(), "candidate_names": json.dumps(["plain", "half"])}
    for config in (LENIENT, STRICT):
        EdgeValidatorExecutor().Do(inputs, outputs, {**properties, "config": config.to_json()})
        found = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
        names = sorted(name for name in found if name != "steps.jsonl")
        assert found.count("steps.jsonl") == (4 if config is STRICT else 5)
        common = ["evaluation.html", "evaluation.json"]
        if config is STRICT:
            assert names == ["INFRA_NOT_BLESSED", "NOT_BLESSED", "NOT_BLESSED", *common]
            assert not outputs["blessed_model"][0].has_custom_property(metadata_keys.CHOSEN)
        else:
            assert names == ["BLESSED", "INFRA_BLESSED", *common, "tflite"]
            assert not outputs["blessed_model"][0].has_custom_property(metadata_keys.REASON)
