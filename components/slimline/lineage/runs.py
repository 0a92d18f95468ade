"""How far a run is, and what came of it, as the store tells it: the same for every runner."""

from collections.abc import Mapping
from dataclasses import dataclass

from ml_metadata.metadata_store.metadata_store import MetadataStore

from slimline.lineage.graph import node_id
from slimline.lineage.records import ArtifactNode, state_name, to_node

_PIPELINE_CONTEXT = "pipeline"
_RUN_CONTEXT = "pipeline_run"


@dataclass(frozen=True)
class Run:
    """One run of a pipeline.

    Attributes:
      context_id: Of the run's context in the store; later runs have larger ones.
      run_id: The runner's name for the run.
    """

    context_id: int
    run_id: str


@dataclass(frozen=True)
class NodeState:
    """One component of a run.

    Attributes:
      state: `RUNNING`, `COMPLETE`, `CACHED`, `FAILED`, …
      started_s: Unix time in seconds.
      seconds: Duration when it has ended, else 0.
    """

    state: str
    started_s: float
    seconds: float


def newest_run_id(store: MetadataStore) -> int:
    """Returns the largest context id of any run so far, 0 when there was none."""
    return max((context.id for context in store.get_contexts_by_type(_RUN_CONTEXT)), default=0)


def find_run(store: MetadataStore, pipeline: str, after: int) -> Run | None:
    """Returns the first run of a pipeline whose context is newer than `after`, or None while it has not begun."""
    for context in sorted(store.get_contexts_by_type(_RUN_CONTEXT), key=lambda c: c.id):
        if context.id <= after:
            continue
        parents = store.get_parent_contexts_by_context(context.id)
        if any(parent.type == _PIPELINE_CONTEXT and parent.name == pipeline for parent in parents):
            return Run(context.id, context.name)
    return None


def node_states(store: MetadataStore, run: Run) -> Mapping[str, NodeState]:
    """Returns the state of each component that has begun, by its id."""
    states = {}
    for execution in sorted(store.get_executions_by_context(run.context_id), key=lambda e: e.id):
        started_s = execution.create_time_since_epoch / 1e3
        state = state_name(execution)
        seconds = 0.0 if state == "RUNNING" else execution.last_update_time_since_epoch / 1e3 - started_s
        states[node_id(store, execution.id)] = NodeState(state, started_s, seconds)
    return states


def outputs_of_type(store: MetadataStore, run: Run, type_name: str) -> list[ArtifactNode]:
    """Returns the artifacts of a type that belong to a run, made in it or taken from the cache; the newest last."""
    artifacts = store.get_artifacts_by_context(run.context_id)
    return sorted((to_node(a) for a in artifacts if a.type == type_name), key=lambda node: node.id)
