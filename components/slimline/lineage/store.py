"""Opens metadata stores, for reading only."""

from pathlib import Path

from ml_metadata import errors as mlmd_errors
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from slimline.errors import LineageError

STORE_FILE = "metadata.sqlite"
_ANSWER_S = 20.0


def sqlite_config(path: Path) -> metadata_store_pb2.ConnectionConfig:
    """Returns the configuration that reads an sqlite store and can't change it."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    return config


def open_store(config: metadata_store_pb2.ConnectionConfig) -> MetadataStore:
    """Opens a store.

    Raises:
      LineageError: There is none.
    """
    if config.HasField("sqlite") and not Path(config.sqlite.filename_uri).is_file():
        raise LineageError(
            f"no file {config.sqlite.filename_uri}",
            "the sqlite file of a metadata store",
            "give --metadata another path",
        )
    try:
        return MetadataStore(config)
    except (mlmd_errors.StatusError, RuntimeError) as error:
        raise LineageError(
            f"a store that can't be opened: {error}",
            "an ML Metadata store",
            "check --metadata, and that it is readable",
        ) from error


def server_config(address: str) -> metadata_store_pb2.MetadataStoreClientConfig:
    """Returns the configuration of a metadata service, as Kubeflow has one.

    Args:
      address: `HOST:PORT`.

    Raises:
      LineageError: It is no such address.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise LineageError(
            f"the address {address!r}", "HOST:PORT", "write it so, as metadata-grpc-service.kubeflow:8080"
        )
    return metadata_store_pb2.MetadataStoreClientConfig(host=host, port=int(port), client_timeout_sec=_ANSWER_S)


def open_server(address: str) -> MetadataStore:
    """Opens the store behind a metadata service.

    Args:
      address: `HOST:PORT`.

    Raises:
      LineageError: Nobody answers there.
    """
    store = MetadataStore(server_config(address))
    try:
        store.get_context_types()
    except mlmd_errors.StatusError as error:
        raise LineageError(
            f"no metadata service at {address}: {error}",
            "ML Metadata's gRPC service, as Kubeflow's metadata-grpc-service",
            "check --metadata-host, and whether it can be reached from here, as by kubectl port-forward",
        ) from None
    return store


def find_store_file(start: Path) -> Path:
    """Returns the nearest `metadata.sqlite` in the folder of `start` or above it.

    Raises:
      LineageError: There is none.
    """
    absolute = start.resolve()
    for folder in (absolute, *absolute.parents):
        candidate = folder / STORE_FILE
        if candidate.is_file():
            return candidate
    raise LineageError(
        f"no {STORE_FILE} in {absolute.parent} or above it",
        "the metadata store of the run that made the file",
        "give its path with --metadata",
    )
