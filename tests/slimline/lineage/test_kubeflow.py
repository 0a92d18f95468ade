"""Lineage of what Kubeflow records, read through ML Metadata's gRPC service.

The records are made as those of `backend/src/v2/metadata/client.go` of kubeflow/pipelines 2.17, by its calls: types
named by the compiled file, tasks by a property, parameters in one structure, every number a double.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
from typer.testing import CliRunner

from slimline.cli.app import app
from slimline.core.digest import file_digest
from slimline.errors import LineageError
from slimline.lineage.store import open_server, server_config
from tests.mlmd_service import metadata_service

Output: TypeAlias = tuple[str, dict[str, object]]


class Launcher:
    """Publishes executions as Kubeflow's launcher does."""

    def __init__(self, address: str) -> None:
        self.store = MetadataStore(server_config(address))
        pipeline = self._context("system.Pipeline", "digits")
        self._contexts = [pipeline, self._context("system.PipelineRun", "run-1")]

    def publish(
        self, task: str, inputs: dict[str, int], outputs: dict[str, tuple[str, dict[str, object]]]
    ) -> list[int]:
        execution = pb.Execution(
            type_id=self.store.put_execution_type(pb.ExecutionType(name="system.ContainerExecution")),
            name=f"run/{task}",
            last_known_state=pb.Execution.COMPLETE,
        )
        for name, text in (("task_name", task), ("display_name", task), ("pod_name", "digits-x7k2"), ("image", "i")):
            execution.custom_properties[name].string_value = text
        execution.custom_properties["inputs"].struct_value.update({"config": '{"scheme": "int8"}', "version": 2})
        taken = [(None, self._event(pb.Event.INPUT, key, id_)) for key, id_ in inputs.items()]
        made = [
            (self._artifact(task, key, *given), self._event(pb.Event.OUTPUT, key)) for key, given in outputs.items()
        ]
        _, ids, _ = self.store.put_execution(execution, [*taken, *made], self._contexts)
        return [int(id_) for id_ in ids[len(inputs) :]]

    def _artifact(self, task: str, key: str, type_name: str, recorded: dict[str, object]) -> pb.Artifact:
        uri = f"minio://mlpipeline/v2/artifacts/digits/run-1/{task}/1/{key}"
        artifact = pb.Artifact(type_id=self.store.put_artifact_type(pb.ArtifactType(name=type_name)), uri=uri)
        for name, value in {"display_name": key, "store_session_info": "{}", **recorded}.items():
            if isinstance(value, str):
                artifact.custom_properties[name].string_value = value
            else:
                artifact.custom_properties[name].double_value = float(str(value))
        return artifact

    def _event(self, kind: int, key: str, artifact_id: int | None = None) -> pb.Event:
        event = pb.Event(type=kind)
        if artifact_id is not None:
            event.artifact_id = artifact_id
        event.path.steps.add(key=key)
        return event

    def _context(self, kind: str, name: str) -> pb.Context:
        type_id = self.store.put_context_type(pb.ContextType(name=kind))
        (id_,) = self.store.put_contexts([pb.Context(name=name, type_id=type_id)])
        (found,) = self.store.get_contexts_by_id([id_])
        return found


@pytest.fixture
def pushed(tmp_path) -> Path:
    (tmp_path / "tflite").write_bytes(b"a model")
    return tmp_path / "tflite"


@pytest.fixture
def address(tmp_path, pushed) -> Iterator[str]:
    digest = {"content_digest": file_digest(pushed)}
    with metadata_service(tmp_path / "kubeflow.sqlite") as served:
        launcher = Launcher(served)
        (examples,) = launcher.publish("ImportExampleGen", {}, {"examples": ("tfx.Examples", {"span": 0})})
        (model,) = launcher.publish("Trainer", {"examples": examples}, {"model": ("tfx.Model", {})})
        (small,) = launcher.publish(
            "Quantizer-int8", {"model": model}, {"quantized_model": ("tfx.Model", {**digest, "size_bytes": 7})}
        )
        outputs = {
            "blessed_model": ("tfx.Model", {**digest, "blessed": 1}),
            "blessing": ("tfx.ModelBlessing", {**digest, "blessed": 1, "chosen": "Quantizer-int8"}),
        }
        blessed, blessing = launcher.publish("EdgeValidator", {"candidate_01": small, "baseline": model}, outputs)
        pushes = {"pushed_model": ("tfx.PushedModel", {"pushed": 1, "pushed_destination": "/slimline/serving/1"})}
        launcher.publish("Pusher", {"model": blessed, "model_blessing": blessing}, pushes)
        yield served


def test_the_way_leads_from_the_file_to_the_data(address, pushed):
    arguments = ["lineage", str(pushed), "--metadata-host", address]
    ran = CliRunner().invoke(app, arguments, catch_exceptions=False)
    for line in ("blessed by ModelBlessing", "as Quantizer-int8", "pushed to /slimline/serving/1", "ImportExampleGen"):
        assert line in ran.stdout
    assert "config.scheme = int8" in ran.stdout
    assert "digits-x7k2" not in ran.stdout
    content = json.loads(CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    nodes = {execution["node"] for execution in content["executions"]}
    assert nodes == {"EdgeValidator", "Quantizer-int8", "Trainer", "ImportExampleGen"}
    assert content["metadata"] == address


def test_a_service_that_is_not_there_is_told():
    with pytest.raises(LineageError, match="no metadata service"):
        open_server("127.0.0.1:1")


@pytest.mark.parametrize("address", ["kubeflow", ":8080", "host:port", "host:0", "host:70000"])
def test_an_address_is_host_and_port(address):
    with pytest.raises(LineageError, match="HOST:PORT"):
        open_server(address)


def test_one_store_is_read(pushed):
    ran = CliRunner().invoke(app, ["lineage", str(pushed), "--metadata", "x", "--metadata-host", "y:1"])
    assert "one store" in str(ran.exception)
