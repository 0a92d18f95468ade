"""Walks a store's events from an artifact up to the data that it was made of.

Kubeflow's record is read too: its types are the compiled ones (`tfx.Model`), a task's name is a property and not a
context, parameters are one structure, and all numbers are doubles.

The walk asks for one level at a time, by ids only: that works with every version of ML Metadata and database, and ends
where the lineage ends (docs/decisions.md).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

INPUT_EVENTS = (
    metadata_store_pb2.Event.INPUT,
    metadata_store_pb2.Event.DECLARED_INPUT,
    metadata_store_pb2.Event.INTERNAL_INPUT,
)
OUTPUT_EVENTS = (
    metadata_store_pb2.Event.OUTPUT,
    metadata_store_pb2.Event.DECLARED_OUTPUT,
    metadata_store_pb2.Event.INTERNAL_OUTPUT,
)
_NODE_CONTEXT = "node"
# As kubeflow/pipelines 2.17, `backend/src/v2/metadata/client.go`, writes them.
_DAG_TYPE = "system.DAGExecution"
_TASK_NAME = "task_name"
_PARAMETERS = "inputs"
_TFX_PREFIX = "tfx."
_STATES = metadata_store_pb2.Execution.State


@dataclass(frozen=True)
class ArtifactNode:
    """An artifact as recorded.

    Attributes:
      id: In the store.
      type: Type name, as `Model`.
      uri: Where it was written.
      properties: Typed and custom properties together.
    """

    id: int
    type: str
    uri: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class ExecutionNode:
    """A component's run as recorded.

    Attributes:
      id: In the store.
      node: Id of the component in its pipeline.
      type: Class path of the component.
      state: `COMPLETE`, `CACHED`, `FAILED`, …
      parameters: What it was given besides artifacts.
      inputs: Ids of input artifacts by key.
      outputs: Ids of output artifacts by key, the visited artifact's siblings included.
    """

    id: int
    node: str
    type: str
    state: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Lineage:
    """All that an artifact was made of.

    Attributes:
      artifact_id: The artifact asked for.
      artifacts: By id: the artifact, its ancestors, and the siblings of both.
      executions: By id.
      producers: For each artifact the id of the execution that made it; none for what came from outside.
    """

    artifact_id: int
    artifacts: Mapping[int, ArtifactNode]
    executions: Mapping[int, ExecutionNode]
    producers: Mapping[int, int]


def trace(store: MetadataStore, artifact_id: int) -> Lineage:
    """Returns everything upstream of an artifact."""
    executions: dict[int, ExecutionNode] = {}
    producers: dict[int, int] = {}
    seen = {artifact_id}
    level = {artifact_id}
    while level:
        made = _producers(store, level)
        producers.update(made)
        new = sorted(set(made.values()) - set(executions))
        executions.update(_executions(store, new))
        level = {id_ for new_id in new for ids in executions[new_id].inputs.values() for id_ in ids} - seen
        seen |= level
    for execution in executions.values():
        for ids in execution.outputs.values():
            seen.update(ids)
            for id_ in ids:
                producers.setdefault(id_, execution.id)
    artifacts = {artifact.id: to_node(artifact) for artifact in store.get_artifacts_by_id(sorted(seen))}
    return Lineage(artifact_id, artifacts, executions, producers)


def consumers(store: MetadataStore, artifact_id: int) -> list[ExecutionNode]:
    """Returns the executions that took an artifact as input, in the order in which they ran."""
    events = store.get_events_by_artifact_ids([artifact_id])
    ids = sorted({event.execution_id for event in events if event.type in INPUT_EVENTS})
    return list(_executions(store, ids).values())


def to_node(artifact: metadata_store_pb2.Artifact) -> ArtifactNode:
    """Turns a record of the store into a plain value."""
    return ArtifactNode(artifact.id, artifact.type.removeprefix(_TFX_PREFIX), artifact.uri, _properties(artifact))


def node_id(store: MetadataStore, execution_id: int) -> str:
    """Returns the id of the component that ran, without its pipeline's name; empty when it is not recorded."""
    for context in store.get_contexts_by_execution(execution_id):
        if context.type == _NODE_CONTEXT:
            return str(context.name).partition(".")[2]
    return ""


def state_name(execution: metadata_store_pb2.Execution) -> str:
    """Returns an execution's state in ML Metadata's words."""
    return str(_STATES.Name(execution.last_known_state))


def _producers(store: MetadataStore, artifact_ids: Iterable[int]) -> dict[int, int]:
    """Returns who made each artifact. A cached run adds itself as a producer: the first complete one made it."""
    events = [e for e in store.get_events_by_artifact_ids(sorted(artifact_ids)) if e.type in OUTPUT_EVENTS]
    ids = sorted({event.execution_id for event in events})
    ranks = {
        # A whole pipeline names its tasks' outputs as its own.
        execution.id: (execution.type == _DAG_TYPE, execution.last_known_state != _STATES.COMPLETE, execution.id)
        for execution in store.get_executions_by_id(ids)
    }
    made: dict[int, int] = {}
    for event in sorted(events, key=lambda e: ranks[e.execution_id]):
        made.setdefault(event.artifact_id, event.execution_id)
    return made


def _executions(store: MetadataStore, ids: list[int]) -> dict[int, ExecutionNode]:
    if not ids:
        return {}
    inputs: dict[int, dict[str, list[int]]] = {id_: {} for id_ in ids}
    outputs: dict[int, dict[str, list[int]]] = {id_: {} for id_ in ids}
    for event in store.get_events_by_execution_ids(ids):
        side = inputs if event.type in INPUT_EVENTS else outputs if event.type in OUTPUT_EVENTS else None
        if side is not None:
            side[event.execution_id].setdefault(event_key(event), []).append(event.artifact_id)
    return {
        execution.id: ExecutionNode(
            execution.id,
            task_name(execution) or node_id(store, execution.id),
            execution.type,
            state_name(execution),
            parameters_of(execution),
            {key: tuple(value) for key, value in inputs[execution.id].items()},
            {key: tuple(value) for key, value in outputs[execution.id].items()},
        )
        for execution in store.get_executions_by_id(ids)
    }


def event_key(event: metadata_store_pb2.Event) -> str:
    """Returns the key under which a component knows the artifact of an event."""
    return next((step.key for step in event.path.steps if step.HasField("key")), "")


def task_name(execution: metadata_store_pb2.Execution) -> str:
    """Returns the id of a task as Kubeflow records it; empty for an execution of another runner."""
    found = execution.custom_properties
    return str(found[_TASK_NAME].string_value) if _TASK_NAME in found else ""


def parameters_of(execution: metadata_store_pb2.Execution) -> dict[str, Any]:
    """Returns what a component was given; on Kubeflow without what it notes of pods and caches."""
    if _PARAMETERS in execution.custom_properties:
        return dict(json_format.MessageToDict(execution.custom_properties[_PARAMETERS].struct_value))
    return _properties(execution)


def _properties(record: Any) -> dict[str, Any]:
    merged = {}
    for values in (record.properties, record.custom_properties):
        for name, value in values.items():
            kind = value.WhichOneof("value")
            if kind in ("string_value", "int_value", "double_value", "bool_value"):
                merged[name] = getattr(value, kind)
    return merged
