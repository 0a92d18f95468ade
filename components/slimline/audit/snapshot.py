"""The whole of a metadata store, read in a few calls and never written."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store.metadata_store import MetadataStore

from slimline.lineage.graph import node_id
from slimline.lineage.places import Places
from slimline.lineage.records import (
    ArtifactNode,
    ExecutionNode,
    Sides,
    event_key,
    node_told,
    parameters_of,
    sides_of,
    state_name,
    task_name,
    to_node,
)

# SQLite takes 32,766 ids in one statement, other databases fewer.
_BATCH = 5_000
_PIPELINE, _RUN = "pipeline", "pipeline_run"


@dataclass(frozen=True)
class Execution(ExecutionNode):
    """A component's run as recorded, and what it belongs to.

    Attributes:
      pipeline: Name of the pipeline; empty when it is not recorded.
      run: Name of the run; empty when it is not recorded.
    """

    pipeline: str
    run: str

    @property
    def is_complete(self) -> bool:
        """Whether it ran itself, to its end."""
        return self.state == "COMPLETE"

    def all_inputs(self) -> list[int]:
        """Returns the ids of all inputs."""
        return [id_ for ids in self.inputs.values() for id_ in ids]

    def all_outputs(self) -> list[int]:
        """Returns the ids of all outputs."""
        return [id_ for ids in self.outputs.values() for id_ in ids]


@dataclass(frozen=True)
class Snapshot:
    """What a store held at one moment.

    Attributes:
      folder: Of the store's file; the working folder for a store behind a server.
      artifacts: By id.
      executions: By id.
      updated_ms: Unix time in milliseconds of the last change of each artifact's record.
      dangling: Events, as texts, that name an artifact or an execution which is not there.
    """

    folder: Path
    artifacts: Mapping[int, ArtifactNode]
    executions: Mapping[int, Execution]
    updated_ms: Mapping[int, int]
    dangling: tuple[str, ...]
    _places: dict[str, Path] = field(default_factory=dict, compare=False)

    @cached_property
    def producers(self) -> Mapping[int, Execution]:
        """Who made each artifact: the first complete execution; a cached one only hands on."""
        made: dict[int, Execution] = {}
        for execution in sorted(self.executions.values(), key=lambda e: (not e.is_complete, e.id)):
            for id_ in execution.all_outputs():
                made.setdefault(id_, execution)
        return made

    @cached_property
    def consumers(self) -> Mapping[int, tuple[Execution, ...]]:
        """Who took each artifact as input, in order of ids."""
        used: dict[int, list[Execution]] = {}
        for _, execution in sorted(self.executions.items()):
            for id_ in set(execution.all_inputs()):
                used.setdefault(id_, []).append(execution)
        return {id_: tuple(executions) for id_, executions in used.items()}

    @cached_property
    def places(self) -> Places:
        """Where artifacts lie now."""
        return Places(self.folder, (node.uri for node in self.artifacts.values()))

    def place(self, uri: str) -> Path:
        """Returns where an artifact's folder is now: as recorded, or below the store when the whole root was moved."""
        if uri not in self._places:
            self._places[uri] = self.places.find(uri)
        return self._places[uri]

    def restricted(self, execution_ids: Iterable[int]) -> "Snapshot":
        """Returns the part of some executions with all that they took and gave."""
        executions = {id_: self.executions[id_] for id_ in execution_ids}
        kept = {id_ for e in executions.values() for id_ in (*e.all_inputs(), *e.all_outputs())}
        artifacts = {id_: node for id_, node in self.artifacts.items() if id_ in kept}
        return Snapshot(self.folder, artifacts, executions, self.updated_ms, self.dangling)

    def upstream(self, artifact_ids: Iterable[int]) -> set[int]:
        """Returns the ids of the executions that artifacts come from, directly or not."""
        found: set[int] = set()
        waiting = list(artifact_ids)
        while waiting:
            execution = self.producers.get(waiting.pop())
            if execution is not None and execution.id not in found:
                found.add(execution.id)
                waiting.extend(execution.all_inputs())
        return found


def take_snapshot(store: MetadataStore, folder: Path) -> Snapshot:
    """Reads a store.

    Args:
      store: Opened for reading only.
      folder: Of its file; see `Snapshot.folder`.
    """
    with paused_collection():
        return _read(store, folder)


@contextmanager
def paused_collection() -> Iterator[None]:
    """Keeps the garbage collector from looking for cycles among what is read and kept: a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read(store: MetadataStore, folder: Path) -> Snapshot:
    artifacts = store.get_artifacts()
    nodes = {artifact.id: to_node(artifact) for artifact in artifacts}
    records = {execution.id: execution for execution in store.get_executions()}
    events = _events(store, list(nodes), list(records))
    known = (event for event in events if event.execution_id in records and event.artifact_id in nodes)
    sides = sides_of(sorted(known, key=lambda event: (event.execution_id, event.artifact_id)))
    runs = _runs(store)
    executions = {
        id_: _execution(store, record, sides.get(id_, ({}, {})), nodes, runs.get(id_, ("", "")))
        for id_, record in records.items()
    }
    updated = {artifact.id: artifact.last_update_time_since_epoch for artifact in artifacts}
    return Snapshot(folder, nodes, executions, updated, tuple(_dangling(events, nodes, records)))


def _execution(
    store: MetadataStore, record: Any, sides: Sides, nodes: Mapping[int, ArtifactNode], run: tuple[str, str]
) -> Execution:
    outputs = (nodes[id_] for ids in sides[1].values() for id_ in ids)
    return Execution(
        record.id,
        task_name(record) or node_told(outputs) or node_id(store, record.id),
        record.type,
        state_name(record),
        parameters_of(record),
        *sides,
        record.create_time_since_epoch,
        record.last_update_time_since_epoch,
        *run,
    )


def _events(store: MetadataStore, artifact_ids: list[int], execution_ids: list[int]) -> list[Any]:
    """Returns all events, those of executions that are gone too: they are found from their artifacts."""
    events = [event for ids in _batches(execution_ids) for event in store.get_events_by_execution_ids(ids)]
    known = set(execution_ids)
    for ids in _batches(artifact_ids):
        events += [event for event in store.get_events_by_artifact_ids(ids) if event.execution_id not in known]
    return events


def _batches(ids: list[int]) -> Iterable[list[int]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))


def _runs(store: MetadataStore) -> dict[int, tuple[str, str]]:
    """Returns pipeline and run of each execution."""
    pipelines = {
        run.id: pipeline.name
        for pipeline in store.get_contexts_by_type(_PIPELINE)
        for run in store.get_children_contexts_by_context(pipeline.id)
    }
    return {
        execution.id: (pipelines.get(run.id, ""), run.name)
        for run in store.get_contexts_by_type(_RUN)
        for execution in store.get_executions_by_context(run.id)
    }


def _dangling(events: Iterable[Any], artifacts: Mapping[int, Any], executions: Mapping[int, Any]) -> Iterable[str]:
    for event in events:
        if event.artifact_id not in artifacts:
            yield f"execution {event.execution_id} has artifact {event.artifact_id} ({event_key(event)})"
        if event.execution_id not in executions:
            yield f"artifact {event.artifact_id} is of execution {event.execution_id}"
