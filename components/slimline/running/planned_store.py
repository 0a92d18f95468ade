"""The store that a run writes to, as its plan names it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from slimline.lineage.store import open_store, sqlite_config


def open_planned_store(plan: Mapping[str, Any]) -> MetadataStore:
    """Opens the store that a run writes to; an sqlite file read-only, so that watching can't disturb the run."""
    config = json_format.ParseDict(plan["metadata"], metadata_store_pb2.ConnectionConfig())
    return open_store(sqlite_config(Path(config.sqlite.filename_uri)) if config.HasField("sqlite") else config)
