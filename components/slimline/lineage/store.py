"""Opens metadata stores, for reading only."""

from pathlib import Path

from ml_metadata import errors as mlmd_errors
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from slimline.errors import LineageError

STORE_FILE = "metadata.sqlite"


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
