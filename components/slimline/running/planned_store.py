"""The store that a run writes to, as its plan names it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_metadata.metadata_store.metadata_store import MetadataStore


def open_planned_store(plan: Mapping[str, Any]) -> "MetadataStore":
    """Opens the store that a run writes to; an sqlite file read-only, so that watching can't disturb the run."""
    from google.protobuf import json_format
    from ml_metadata.proto import metadata_store_pb2

    from slimline.lineage.store import open_store, sqlite_config

    config = json_format.ParseDict(plan["metadata"], metadata_store_pb2.ConnectionConfig())
    return open_store(sqlite_config(Path(config.sqlite.filename_uri)) if config.HasField("sqlite") else config)


def record_as_failed(plan: Mapping[str, Any]) -> list[str]:
    """Records as failed what a run that is over has left as running; returns the names of these executions.

    A child that was killed could not say so itself, and its executions would be running for ever.
    """
    from google.protobuf import json_format
    from ml_metadata.metadata_store.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    from slimline.lineage.runs import find_run

    store = MetadataStore(json_format.ParseDict(plan["metadata"], metadata_store_pb2.ConnectionConfig()))
    run = find_run(store, plan["pipeline"], plan["after"])
    if run is None:
        return []
    unfinished = (metadata_store_pb2.Execution.NEW, metadata_store_pb2.Execution.RUNNING)
    left = [one for one in store.get_executions_by_context(run.context_id) if one.last_known_state in unfinished]
    for execution in left:
        execution.last_known_state = metadata_store_pb2.Execution.FAILED
    if left:
        store.put_executions(left)
    return [execution.name for execution in left]
