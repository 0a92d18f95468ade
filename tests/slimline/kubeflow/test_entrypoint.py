"""The command of a container, called with what driver and launcher of kubeflow/pipelines 2.17 give it."""

import json
from pathlib import Path

import pytest
import yaml
from tfx.types import standard_component_specs

from slimline.kubeflow import entrypoint
from slimline.kubeflow.compile import compile_pipeline
from slimline.kubeflow.executor_input import MOUNT, adapt, local_path
from slimline.kubeflow.options import CompileOptions, Volume
from slimline.kubeflow.page_artifacts import numbers, write_page_artifacts
from slimline.names import file_names
from slimline_pipelines.digits import data
from slimline_pipelines.digits.pipeline import create_pipeline
from tests.artifacts import model_artifact, schema_artifact
from tests.conftest import example, write_records
from tests.evaluations import candidate, evaluation

ROOT = "minio://mlpipeline/v2/artifacts/digits/run"


@pytest.fixture(scope="module")
def specification(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    data.write_examples(root)
    options = CompileOptions(
        image="any@sha256:0", volumes=(Volume(claim="data", path=str(root)),), parameters={"data_version": "1"}
    )
    compile_pipeline(create_pipeline(str(root)), root / "out.yaml", options)
    return next(iter(yaml.safe_load_all((root / "out.yaml").read_text())))


def run(specification, task_name, inputs, scratch: Path, monkeypatch, extra=()):
    """Runs a task of the compiled file in process, and returns its ExecutorOutput."""
    task, component = specification["root"]["dag"]["tasks"][task_name], specification["components"][task_name]
    container = specification["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    assert tuple(container["command"]) == entrypoint.COMMAND
    folder = f"{ROOT}/{task_name}/1234"
    outputs = {
        key: {"artifacts": [{"name": key, "type": definition["artifactType"], "uri": f"{folder}/{key}"}]}
        for key, definition in component["outputDefinitions"]["artifacts"].items()
    }
    outputs["executor-logs"] = {
        "artifacts": [{"type": {"schemaTitle": "system.Artifact"}, "uri": f"{folder}/executor-logs"}]
    }
    monkeypatch.setenv(MOUNT, str(scratch))
    output_file = Path(local_path(folder)) / "output_metadata.json"
    # The launcher makes the folder above each output only.
    output_file.parent.mkdir(parents=True)
    parameters = {
        key: spec["runtimeValue"]["constant"] if "runtimeValue" in spec else "1"
        for key, spec in task.get("inputs", {}).get("parameters", {}).items()
    }
    executor_input = {
        "inputs": {"parameterValues": parameters, "artifacts": inputs},
        "outputs": {"artifacts": outputs, "outputFile": str(output_file)},
    }
    arguments = [argument.replace("{{$}}", json.dumps(executor_input)) for argument in container["args"]]
    entrypoint.main([*arguments, *extra])
    return json.loads(output_file.read_text())


def as_input(answer, key, task_name, name):
    """An output as the driver hands it to the next task: without its type, and its numbers as doubles."""
    metadata = answer["artifacts"][key]["artifacts"][0].get("metadata", {})
    artifact = {"name": name, "type": {"instanceSchema": ""}, "uri": f"{ROOT}/{task_name}/1234/{key}"}
    return {"artifacts": [{**artifact, "metadata": {**metadata, "display_name": key, "store_session_info": "{}"}}]}


def test_tasks_of_the_compiled_file_run_on_what_kubeflow_gives(specification, tmp_path, monkeypatch):
    generated = run(specification, "ImportExampleGen", {}, tmp_path, monkeypatch)
    (examples,) = generated["artifacts"]["examples"]["artifacts"]
    assert "uri" not in examples
    assert json.loads(examples["metadata"]["split_names"]) == ["train", "eval"]
    inputs = {"examples": as_input(generated, "examples", "ImportExampleGen", "1")}
    counted = run(specification, "StatisticsGen", inputs, tmp_path, monkeypatch)
    inputs = {"statistics": as_input(counted, "statistics", "StatisticsGen", "2")}
    run(specification, "SchemaGen", inputs, tmp_path, monkeypatch)
    assert list((tmp_path / "minio").rglob("schema.pbtxt"))
    assert str(tmp_path) not in json.dumps([generated, counted])


def test_the_programs_name_never_comes_among_beams_options(specification, tmp_path, monkeypatch):
    seen = []

    def main(parsed):
        seen.append(parsed)
        raise KeyboardInterrupt

    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    monkeypatch.setattr(kubeflow_v2_run_executor, "main", main)
    with pytest.raises(KeyboardInterrupt):
        run(specification, "SchemaGen", {}, tmp_path, monkeypatch, extra=["--direct_num_workers=1"])
    ((arguments, beam_arguments),) = seen
    assert beam_arguments == ["--direct_num_workers=1"]
    assert arguments.executor_class_path.endswith("schema_gen.executor.Executor")
    assert standard_component_specs.STATISTICS_KEY in arguments.json_serialized_inputs_spec_args


def shown_input(key):
    kinds = {"metrics": "system.Metrics", "report": "system.HTML"}
    outputs = {
        name: {"artifacts": [{"name": name, "type": {"schemaTitle": kind}, "uri": f"{ROOT}/T/1/{name}"}]}
        for name, kind in kinds.items()
    }
    outputs[key] = {"artifacts": [{"name": key, "type": {"instanceSchema": "title: x.Y"}, "uri": f"{ROOT}/T/1/{key}"}]}
    return {"inputs": {}, "outputs": {"artifacts": outputs, "outputFile": "/minio/o.json"}}


def test_the_page_gets_the_validators_figures_and_its_report(tmp_path, monkeypatch):
    monkeypatch.setenv(MOUNT, str(tmp_path))
    from slimline.report import write_page

    adapted = adapt(shown_input("evaluation"), {})
    folder = Path(local_path(f"{ROOT}/T/1/evaluation"))
    folder.mkdir(parents=True)
    write_page(evaluation(candidate("a"), chosen="a"), folder / file_names.EVALUATION_PAGE)
    recorded = {"baseline_accuracy": "0.9712345678", "baseline_digest": "sha256:12", "chosen": "a", "decision": "pass"}
    answer = {"artifacts": {"evaluation": {"artifacts": [{"metadata": recorded}]}}}
    shown = write_page_artifacts(adapted, answer, "slimline.edge_validator.executor.EdgeValidatorExecutor")
    assert shown == {"metrics": {"artifacts": [{"name": "metrics", "metadata": {"baseline_accuracy": 0.9712345678}}]}}
    report = Path(local_path(f"{ROOT}/T/1/report"))
    assert report.read_text() == (folder / file_names.EVALUATION_PAGE).read_text()


def test_other_components_show_no_page():
    assert write_page_artifacts(adapt(shown_input("model"), {}), {}, "tfx.components.trainer.executor.Executor") == {}


def test_only_finite_figures_are_shown():
    recorded = {
        "metric_accuracy": "0.5",
        "drop_accuracy": "nan",
        "sqnr_db": "inf",
        "provenance_id": "12e4",
        "scheme": "int8",
    }
    assert numbers({**recorded, "size_bytes": 12.0}) == {"metric_accuracy": 0.5, "size_bytes": 12.0}


def test_a_quantizer_shows_figures_and_a_page_and_records_no_local_path(
    specification, tmp_path, monkeypatch, trained, digits
):
    monkeypatch.setenv(MOUNT, str(tmp_path))
    images, labels = digits
    folders = {key: Path(local_path(f"{ROOT}/Before/1/{key}")) for key in ("model", "calibration", "schema")}
    model_artifact(folders["model"], trained)
    schema_artifact(folders["schema"])
    records = [example(image, int(label)) for image, label in zip(images[:20], labels, strict=False)]
    write_records(folders["calibration"] / file_names.CALIBRATION_RECORDS, records)
    inputs = {key: as_input({"artifacts": {key: {"artifacts": [{}]}}}, key, "Before", "7") for key in folders}
    inputs = json.loads(json.dumps(inputs).replace("/Before/1234/", "/Before/1/"))
    answer = run(specification, "Quantizer-dynamic-range", inputs, tmp_path, monkeypatch)
    assert str(tmp_path) not in json.dumps(answer)
    (metrics,) = answer["artifacts"]["metrics"]["artifacts"]
    assert {"size_bytes", "gzip_bytes", "sqnr_db", "agreement", "sparsity"} <= set(metrics["metadata"])
    (file,) = (tmp_path / "minio").rglob("tflite")
    assert metrics["metadata"]["size_bytes"] == file.stat().st_size
    page = Path(local_path(f"{ROOT}/Quantizer-dynamic-range/1234/report")).read_text()
    assert "dynamic_range" in page
    assert "FULLY_CONNECTED" in page
    assert "://" not in page.replace("http://www.w3.org", "")
