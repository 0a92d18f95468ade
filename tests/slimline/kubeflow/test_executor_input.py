"""What Kubeflow gives and takes; the messages are those that `docs/kubeflow.md` describes, written by hand."""

import json
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils import parse_raw_artifact_dict

from slimline.errors import PipelineError
from slimline.kubeflow.entrypoint import has_remote_workers
from slimline.kubeflow.executor_input import MOUNT, adapt, local_path, restore

ROOT = "minio://mlpipeline/v2/artifacts/digits/run/Pruner/1"
SPEC = {"artifacts": {"model": {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}}}


def kubeflow() -> dict[str, Any]:
    return {
        "inputs": {
            "parameterValues": {"config": "{}"},
            "artifacts": {
                "model": {
                    "artifacts": [
                        {
                            "name": "7",
                            "type": {"instanceSchema": ""},
                            "uri": "minio://mlpipeline/v2/artifacts/digits/run/Trainer/1/model",
                            "metadata": {"display_name": "model", "store_session_info": "{}"},
                        }
                    ]
                }
            },
        },
        "outputs": {
            "artifacts": {
                "pruned_model": {
                    "artifacts": [
                        {
                            "name": "pruned_model",
                            "uri": f"{ROOT}/pruned_model",
                            "type": {"instanceSchema": "title: tfx.Model\ntype: object\n"},
                        }
                    ]
                },
                "metrics": {
                    "artifacts": [
                        {"name": "metrics", "uri": f"{ROOT}/metrics", "type": {"schemaTitle": "system.Metrics"}}
                    ]
                },
                "executor-logs": {
                    "artifacts": [
                        {"name": "executor-logs", "uri": f"{ROOT}/logs", "type": {"schemaTitle": "system.Artifact"}}
                    ]
                },
            },
            "outputFile": "/minio/mlpipeline/v2/artifacts/digits/run/Pruner/1/output_metadata.json",
        },
    }


def vertex() -> dict[str, Any]:
    found = json.loads(json.dumps(kubeflow()).replace("minio://mlpipeline", "gs://bucket"))
    del found["outputs"]["artifacts"]["executor-logs"]
    found["inputs"]["artifacts"]["model"]["artifacts"][0]["type"] = {"schemaTitle": "tfx.Model"}
    return found


def test_types_of_inputs_come_from_the_command():
    adapted = adapt(kubeflow(), SPEC).executor_input
    (model,) = adapted["inputs"]["artifacts"]["model"]["artifacts"]
    assert model["type"] == SPEC["artifacts"]["model"]["artifactType"]


def test_kubeflows_own_outputs_are_kept_from_tfx():
    adapted = adapt(kubeflow(), SPEC)
    assert set(adapted.executor_input["outputs"]["artifacts"]) == {"pruned_model"}
    assert set(adapted.system_outputs) == {"metrics", "executor-logs"}


@pytest.mark.parametrize(
    ("uri", "path"),
    [("minio://b/x", "/minio/b/x"), ("s3://b/x", "/s3/b/x"), ("gs://b/x", "/gcs/b/x"), ("/data/x", "/data/x")],
)
def test_addresses_are_where_the_launcher_puts_the_files(uri, path, monkeypatch):
    assert local_path(uri) == path
    monkeypatch.setenv(MOUNT, "/pod")
    assert local_path(uri) == (f"/pod{path}" if "://" in uri else path)


def test_nothing_is_mapped_where_types_are_complete():
    adapted = adapt(vertex(), SPEC)
    assert adapted.addresses == {}
    (model,) = adapted.executor_input["inputs"]["artifacts"]["model"]["artifacts"]
    assert model["uri"].startswith("gs://")
    assert model["type"] == {"schemaTitle": "tfx.Model"}


def test_the_answer_has_no_address_of_this_pod():
    adapted = adapt(kubeflow(), SPEC)
    local = "/minio/mlpipeline/v2/artifacts/digits/run/Trainer/1/model"
    answer = {
        "artifacts": {
            "pruned_model": {
                "artifacts": [
                    {
                        "uri": "/minio/mlpipeline/v2/artifacts/digits/run/Pruner/1/pruned_model",
                        "metadata": {"source": local, "listed": [f"{local}/a"], "zeros": 0.5},
                    }
                ]
            }
        }
    }
    restored = restore(answer, adapted)
    (artifact,) = restored["artifacts"]["pruned_model"]["artifacts"]
    assert "uri" not in artifact
    assert "/minio/" not in json.dumps(restored)
    assert artifact["metadata"]["source"] == "minio://mlpipeline/v2/artifacts/digits/run/Trainer/1/model"
    assert artifact["metadata"]["zeros"] == 0.5


def test_vertex_keeps_the_addresses_of_its_answer():
    answer = {"artifacts": {"pruned_model": {"artifacts": [{"uri": "gs://bucket/x", "metadata": {}}]}}}
    restored = restore(answer, adapt(vertex(), SPEC))
    assert restored["artifacts"]["pruned_model"]["artifacts"][0]["uri"] == "gs://bucket/x"


def test_remote_workers_can_open_no_files_of_the_launcher():
    with pytest.raises(PipelineError, match="gs://"):
        adapt(kubeflow(), SPEC, remote_beam=True)
    gs = json.loads(json.dumps(kubeflow()).replace("minio://", "gs://"))
    assert adapt(gs, SPEC, remote_beam=True).addresses == {}


@pytest.mark.parametrize(
    ("arguments", "remote"),
    [
        ([], False),
        (["--runner=DirectRunner"], False),
        (["--runner", "FnApiRunner"], False),
        (["--runner=DataflowRunner", "--project=p"], True),
        (["--runner=FlinkRunner"], True),
    ],
)
def test_which_beam_runners_are_remote(arguments, remote):
    assert has_remote_workers(arguments) is remote


def test_what_is_none_is_left_out_since_it_would_fail_the_task():
    answer = {"artifacts": {"pruned_model": {"artifacts": [{"metadata": {"unset": None, "sparsity": "0.5"}}]}}}
    (restored,) = restore(answer, adapt(kubeflow(), SPEC))["artifacts"]["pruned_model"]["artifacts"]
    assert restored == {"metadata": {"sparsity": "0.5"}}


def test_parameters_that_the_component_does_not_declare_are_kubeflows_alone():
    given = kubeflow()
    given["inputs"]["parameterValues"] = {"config": "{}", "data_version": "2026-11-26"}
    specified = {**SPEC, "parameters": {"config": {"parameterType": "STRING"}}}
    assert adapt(given, specified).executor_input["inputs"]["parameterValues"] == {"config": "{}"}


def test_the_id_that_tfx_hashes_is_found_again():
    """The other party is TFX's own parser of what a container gets."""
    adapted = adapt(kubeflow(), SPEC)
    message = json_format.ParseDict(adapted.executor_input, pipeline_spec_pb2.ExecutorInput())
    (model,) = parse_raw_artifact_dict(message.inputs.artifacts, {})["model"]
    answer = {"artifacts": {"pruned_model": {"artifacts": [{"metadata": {"current_model_id": float(model.id)}}]}}}
    (restored,) = restore(answer, adapted)["artifacts"]["pruned_model"]["artifacts"]
    assert restored["metadata"] == {"current_model_id": adapted.names[0]}
