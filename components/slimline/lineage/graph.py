"""Walks a store's events from an artifact: up to the data that it was made of, or down to all that was made of it.

The walk asks for one level at a time, by ids only: that works with every version of ML Metadata and database, and ends
where the lineage ends (docs/decisions.md).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from slimline.lineage.records import (
    INPUT_EVENTS,
    OUTPUT_EVENTS,
    ArtifactNode,
    ExecutionNode,
    Sides,
    node_told,
    parameters_of,
    sides_of,
    state_name,
    task_name,
    to_node,
)

_NODE_CONTEXT, _PIPELINE_CONTEXT = "node", "pipeline"
# As kubeflow/pipelines 2.17, `backend/src/v2/metadata/client.go`, writes it.
_DAG_TYPE = "system.DAGExecution"
_STATES = metadata_store_pb2.Execution.State


@dataclass(frozen=True)
class Lineage:
    """What an artifact was made of, or what was made of it.

    Attributes:
      artifact_id: The artifact asked for.
      artifacts: By id: the artifact, and all that the executions took and gave.
      executions: By id.
      producers: For each artifact the id of the execution that made it; none for what came from outside, and, looking
        downstream, for what was made before.
    """

    artifact_id: int
    artifacts: Mapping[int, ArtifactNode]
    executions: Mapping[int, ExecutionNode]
    producers: Mapping[int, int]


def trace(store: MetadataStore, artifact_id: int) -> Lineage:
    """Returns everything upstream of an artifact, with what its makers gave besides."""
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
    return _lineage(store, artifact_id, executions, producers)


def trace_downstream(store: MetadataStore, artifact_id: int) -> Lineage:
    """Returns everything that was made of an artifact, directly or not; executions in the order in which they ran."""
    executions: dict[int, ExecutionNode] = {}
    producers: dict[int, int] = {}
    seen = {artifact_id}
    level = {artifact_id}
    while level:
        events = store.get_events_by_artifact_ids(sorted(level))
        ids = {event.execution_id for event in events if event.type in INPUT_EVENTS}
        found = _executions(store, sorted(ids - set(executions)))
        executions.update(found)
        level = {id_ for execution in found.values() for ids in execution.outputs.values() for id_ in ids} - seen
        producers.update({id_: maker for id_, maker in _producers(store, level).items() if maker in executions})
        seen |= level
    return _lineage(store, artifact_id, dict(sorted(executions.items())), producers)


def consumers(store: MetadataStore, artifact_id: int) -> list[ExecutionNode]:
    """Returns the executions that took an artifact as input, in the order in which they ran."""
    events = store.get_events_by_artifact_ids([artifact_id])
    ids = sorted({event.execution_id for event in events if event.type in INPUT_EVENTS})
    executions = _executions(store, ids)
    made = {id_ for execution in executions.values() for output in execution.outputs.values() for id_ in output}
    artifacts = {node.id: node for node in artifacts_by_id(store, made)}
    return list(_named(store, executions, artifacts).values())


def artifacts_by_id(store: MetadataStore, ids: Iterable[int]) -> list[ArtifactNode]:
    """Returns artifacts; those that are not in the store are left out."""
    return [to_node(artifact) for artifact in _each(store.get_artifacts_by_id, ids)]


def node_id(store: MetadataStore, execution_id: int) -> str:
    """Returns the id of the component that ran, without its pipeline's name; empty when it is not recorded."""
    contexts = {context.type: str(context.name) for context in store.get_contexts_by_execution(execution_id)}
    name = contexts.get(_NODE_CONTEXT, "")
    # Both names may have dots.
    pipeline = contexts.get(_PIPELINE_CONTEXT) or name.partition(".")[0]
    return name.removeprefix(f"{pipeline}.")


def _lineage(
    store: MetadataStore, artifact_id: int, executions: Mapping[int, ExecutionNode], producers: dict[int, int]
) -> Lineage:
    ids = {artifact_id}
    for execution in executions.values():
        ids.update(*execution.inputs.values(), *execution.outputs.values())
        for id_ in (id_ for output in execution.outputs.values() for id_ in output):
            producers.setdefault(id_, execution.id)
    artifacts = {node.id: node for node in artifacts_by_id(store, ids)}
    return Lineage(artifact_id, artifacts, _named(store, executions, artifacts), producers)


def _named(
    store: MetadataStore, executions: Mapping[int, ExecutionNode], artifacts: Mapping[int, ArtifactNode]
) -> dict[int, ExecutionNode]:
    """Names executions by what stands on their outputs: the store tells their contexts for one at a time only."""
    named = {}
    for id_, execution in executions.items():
        outputs = (artifacts[output] for ids in execution.outputs.values() for output in ids if output in artifacts)
        node = execution.node or node_told(outputs) or node_id(store, id_)
        named[id_] = replace(execution, node=node)
    return named


def _producers(store: MetadataStore, artifact_ids: Iterable[int]) -> dict[int, int]:
    """Returns who made each artifact. A cached run adds itself as a producer: the first complete one made it."""
    events = [e for e in store.get_events_by_artifact_ids(sorted(artifact_ids)) if e.type in OUTPUT_EVENTS]
    ids = sorted({event.execution_id for event in events})
    ranks = {
        # A whole pipeline names its tasks' outputs as its own.
        execution.id: (execution.type == _DAG_TYPE, execution.last_known_state != _STATES.COMPLETE, execution.id)
        for execution in _each(store.get_executions_by_id, ids)
    }
    made: dict[int, int] = {}
    # An event may name an execution whose row was deleted.
    for event in sorted((e for e in events if e.execution_id in ranks), key=lambda e: ranks[e.execution_id]):
        made.setdefault(event.artifact_id, event.execution_id)
    return made


def _each(read: Callable[[list[int]], list[Any]], ids: Iterable[int]) -> Iterator[Any]:
    """Reads rows by their ids, without those that are gone.

    One at a time, at a tenth of a millisecond each: asked for several, of which one was deleted while its properties
    were left, ML Metadata 1.17 aborts the process.
    """
    for id_ in sorted(ids):
        yield from read([id_])


def _executions(store: MetadataStore, ids: list[int]) -> dict[int, ExecutionNode]:
    """Reads executions, of which only Kubeflow's have their names yet."""
    if not ids:
        return {}
    sides = sides_of(store.get_events_by_execution_ids(ids))
    return {
        execution.id: _to_execution(execution, sides.get(execution.id, ({}, {})))
        for execution in _each(store.get_executions_by_id, ids)
    }


def _to_execution(execution: metadata_store_pb2.Execution, sides: Sides) -> ExecutionNode:
    inputs, outputs = sides
    return ExecutionNode(
        execution.id,
        task_name(execution),
        execution.type,
        state_name(execution),
        parameters_of(execution),
        inputs,
        outputs,
        execution.create_time_since_epoch,
        execution.last_update_time_since_epoch,
    )
