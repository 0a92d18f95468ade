"""A real sqlite store as TFX fills it: data -> trainer -> quantizer -> validator -> pusher, and a cached run."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from slimline.core.digest import file_digest


@dataclass
class Recorder:
    """Writes artifacts, executions and events."""

    store: MetadataStore

    def artifact(self, type_name: str, uri: Path, **properties: str | int) -> int:
        type_id = self.store.put_artifact_type(pb.ArtifactType(name=type_name))
        artifact = pb.Artifact(type_id=type_id, uri=str(uri))
        _fill(artifact.custom_properties, properties)
        return int(self.store.put_artifacts([artifact])[0])

    def execution(self, node: str, inputs, outputs, state="COMPLETE", contexts=(), **parameters: str | int) -> int:
        type_id = self.store.put_execution_type(pb.ExecutionType(name=f"components.{node}"))
        execution = pb.Execution(type_id=type_id, last_known_state=pb.Execution.State.Value(state))
        _fill(execution.custom_properties, parameters)
        events = [_event(pb.Event.INPUT, key, id_) for key, id_ in inputs]
        events += [_event(pb.Event.OUTPUT, key, id_) for key, id_ in outputs]
        node_context = self.context("node", f"flow.{node}")
        all_contexts = [node_context, *contexts]
        id_, _, _ = self.store.put_execution(execution, [(None, event) for event in events], all_contexts)
        return int(id_)

    def context(self, kind: str, name: str) -> pb.Context:
        type_id = self.store.put_context_type(pb.ContextType(name=kind))
        found = self.store.get_context_by_type_and_name(kind, name)
        if found is None:
            id_ = self.store.put_contexts([pb.Context(type_id=type_id, name=name)])[0]
            (found,) = self.store.get_contexts_by_id([id_])
        return found

    def run(self, run_id: str) -> pb.Context:
        pipeline, run = self.context("pipeline", "flow"), self.context("pipeline_run", run_id)
        self.store.put_parent_contexts([pb.ParentContext(child_id=run.id, parent_id=pipeline.id)])
        return run


def _event(kind: int, key: str, artifact_id: int) -> pb.Event:
    event = pb.Event(type=kind, artifact_id=artifact_id)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event


def _fill(target, properties) -> None:
    for name, value in properties.items():
        if isinstance(value, int):
            target[name].int_value = value
        else:
            target[name].string_value = value


@pytest.fixture
def recorder(tmp_path) -> Recorder:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return Recorder(MetadataStore(config))


@pytest.fixture
def recorded(recorder, tmp_path) -> dict[str, int]:
    """Ids by name. The model's file lies in `serving/1/tflite`, and is `blessed_model`'s content."""
    for folder in ("quantized", "blessed", "serving/1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "tflite").write_bytes(b"model")
    digest = file_digest(tmp_path / "quantized" / "tflite")
    run = recorder.run("first")
    ids = {
        "examples": recorder.artifact("Examples", tmp_path / "data"),
        "model": recorder.artifact("Model", tmp_path / "model"),
        "quantized": recorder.artifact("Model", tmp_path / "quantized", content_digest=digest, scheme="int8"),
        "other": recorder.artifact("Model", tmp_path / "other", content_digest="sha256:other"),
        "blessing": recorder.artifact(
            "ModelBlessing", tmp_path / "b", blessed=1, content_digest=digest, chosen="Quantizer"
        ),
        "blessed": recorder.artifact("Model", tmp_path / "blessed", content_digest=digest),
        "pushed": recorder.artifact(
            "PushedModel", tmp_path / "archive", pushed=1, pushed_destination=str(tmp_path / "serving" / "1")
        ),
    }
    recorder.execution("Gen", [], [("examples", ids["examples"])], contexts=[run], input_base="/data")
    recorder.execution("Trainer", [("examples", ids["examples"])], [("model", ids["model"])], contexts=[run])
    recorder.execution(
        "Quantizer",
        [("model", ids["model"])],
        [("quantized_model", ids["quantized"])],
        contexts=[run],
        config='{"scheme":"int8"}',
    )
    recorder.execution("Other", [("model", ids["model"])], [("quantized_model", ids["other"])], contexts=[run])
    recorder.execution(
        "Validator",
        [("baseline", ids["model"]), ("candidate_01", ids["quantized"]), ("candidate_02", ids["other"])],
        [("blessed_model", ids["blessed"]), ("blessing", ids["blessing"])],
        contexts=[run],
    )
    recorder.execution("Pusher", [("model", ids["blessed"])], [("pushed_model", ids["pushed"])], contexts=[run])
    recorder.execution("Quantizer", [("model", ids["model"])], [("quantized_model", ids["quantized"])], state="CACHED")
    return ids
