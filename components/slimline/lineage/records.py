"""What a store holds, as plain values.

Kubeflow's record is read too: its types are the compiled ones (`tfx.Model`), a task's name is a property and not a
context, parameters are one structure, and all numbers are doubles.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
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
# As kubeflow/pipelines 2.17, `backend/src/v2/metadata/client.go`, writes them.
_TASK_NAME = "task_name"
_PARAMETERS = "inputs"
_TFX_PREFIX = "tfx."
# As TFX writes it on every output.
_PRODUCER = "producer_component"
_PLAIN_KINDS = frozenset(("string_value", "int_value", "double_value", "bool_value"))
_STATES = metadata_store_pb2.Execution.State

Sides = tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]


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
      created_ms: Unix time in milliseconds at which it began.
      updated_ms: The same for the last change of the record: when it ended.
    """

    id: int
    node: str
    type: str
    state: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    created_ms: int
    updated_ms: int


def to_node(artifact: metadata_store_pb2.Artifact) -> ArtifactNode:
    """Turns a record of the store into a plain value."""
    return ArtifactNode(artifact.id, artifact.type.removeprefix(_TFX_PREFIX), artifact.uri, _properties(artifact))


def state_name(execution: metadata_store_pb2.Execution) -> str:
    """Returns an execution's state in ML Metadata's words."""
    return str(_STATES.Name(execution.last_known_state))


def event_key(event: metadata_store_pb2.Event) -> str:
    """Returns the key under which a component knows the artifact of an event."""
    for step in event.path.steps:
        if step.HasField("key"):
            return str(step.key)
    return ""


def sides_of(events: Iterable[metadata_store_pb2.Event]) -> dict[int, Sides]:
    """Returns ids of input and of output artifacts by key, for each execution that has events."""
    found: dict[int, tuple[dict[str, list[int]], dict[str, list[int]]]] = {}
    for event in events:
        side = 0 if event.type in INPUT_EVENTS else 1 if event.type in OUTPUT_EVENTS else None
        if side is not None:
            keys = found.setdefault(event.execution_id, ({}, {}))[side]
            keys.setdefault(event_key(event), []).append(event.artifact_id)
    return {
        id_: ({k: tuple(v) for k, v in inputs.items()}, {k: tuple(v) for k, v in outputs.items()})
        for id_, (inputs, outputs) in found.items()
    }


def task_name(execution: metadata_store_pb2.Execution) -> str:
    """Returns the id of a task as Kubeflow records it; empty for an execution of another runner."""
    found = execution.custom_properties
    return str(found[_TASK_NAME].string_value) if _TASK_NAME in found else ""


def node_told(outputs: Iterable[ArtifactNode]) -> str:
    """Returns the id of the component that made artifacts, as TFX notes it on each; empty when it is on none."""
    return next((str(node.properties[_PRODUCER]) for node in outputs if node.properties.get(_PRODUCER)), "")


def parameters_of(execution: metadata_store_pb2.Execution) -> dict[str, Any]:
    """Returns what a component was given; on Kubeflow without what it notes of pods and caches."""
    if _PARAMETERS in execution.custom_properties:
        return dict(json_format.MessageToDict(execution.custom_properties[_PARAMETERS].struct_value))
    return _properties(execution)


def _properties(record: Any) -> dict[str, Any]:
    merged = {}
    for values in (record.properties, record.custom_properties):
        # By key: a message's `items` takes three times as long, of all that a large store's audit waits for.
        for name in values:
            value = values[name]
            kind = value.WhichOneof("value")
            if kind in _PLAIN_KINDS:
                merged[name] = getattr(value, kind)
    return merged
