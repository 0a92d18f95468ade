"""Opens metadata stores, for reading only: an sqlite file, a database behind a server, or a metadata service."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ml_metadata import errors as mlmd_errors
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from slimline.errors import LineageError

STORE_FILE = "metadata.sqlite"
# A password on the command line is in the history of the shell, and in the list of processes.
PASSWORD_VARIABLE = "SLIMLINE_METADATA_PASSWORD"  # noqa: S105
_DEFAULT_PORTS = {"mysql": 3306, "postgresql": 5432}
_ANSWER_S = 20.0


@dataclass(frozen=True)
class OpenStore:
    """A store that was opened.

    Attributes:
      store: For reading.
      name: By which people know it; it is a value for `--metadata`, or for `--metadata-host`.
      is_service: Whether it is one for `--metadata-host`.
      folder: Below which artifacts lie if a root was moved: that of the store's file; else the working folder.
    """

    store: MetadataStore
    name: str
    is_service: bool
    folder: Path


def open_named(metadata: str | None, host: str | None, near: Path) -> OpenStore:
    """Opens the store that a user named.

    Args:
      metadata: Path of an sqlite file, or `mysql://` or `postgresql://` with user, host and database; None to look for
        `metadata.sqlite`.
      host: HOST:PORT of a metadata service instead.
      near: In or below the folder where `metadata.sqlite` is looked for.

    Raises:
      LineageError: There is none, or it can't be opened.
    """
    if metadata and host:
        raise LineageError("both --metadata and --metadata-host", "one store", "leave one of them out")
    if host:
        return OpenStore(open_server(host), host, True, Path.cwd())
    if metadata and "://" in metadata:
        return OpenStore(open_store(database_config(metadata)), metadata, False, Path.cwd())
    file = Path(metadata) if metadata else near if near.name == STORE_FILE else find_store_file(near)
    return OpenStore(open_store(sqlite_config(file)), str(file), False, file.resolve().parent)


def database_config(address: str) -> metadata_store_pb2.ConnectionConfig:
    """Returns the configuration of a database behind a server.

    ML Metadata has no mode for reading only there: an account that may only read is what keeps an audit from writing.

    Args:
      address: `mysql://USER@HOST:PORT/DATABASE` or `postgresql://USER@HOST:PORT/DATABASE`. The password is taken from
        the environment variable `SLIMLINE_METADATA_PASSWORD`, and not from the address.

    Raises:
      LineageError: It is no such address.
    """
    expected = "mysql://USER@HOST:PORT/DATABASE, or the same with postgresql://"
    parts = urlsplit(address)
    if parts.password:
        shown = address.replace(f":{parts.password}@", ":…@")
        raise LineageError(f"a password in {shown}", expected, f"leave it out, and set {PASSWORD_VARIABLE}")
    database, port = parts.path.strip("/"), _port(parts)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not parts.username or not database or not port:
        raise LineageError(f"the address {address!r}", expected, "write it so, or give the path of an sqlite file")
    config = metadata_store_pb2.ConnectionConfig()
    user, password = unquote(parts.username), os.environ.get(PASSWORD_VARIABLE, "")
    if parts.scheme == "mysql":
        mysql = config.mysql
        mysql.host, mysql.port, mysql.database, mysql.user, mysql.password = (
            *(parts.hostname, port, database),
            *(user, password),
        )
        # Whoever reads creates nothing.
        mysql.skip_db_creation = True
    else:
        postgres = config.postgresql
        postgres.host, postgres.port, postgres.dbname = parts.hostname, str(port), database
        postgres.user, postgres.password = user, password
        postgres.skip_db_creation = True
    return config


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


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
            f"check --metadata, that it is readable, and for a server {PASSWORD_VARIABLE}",
        ) from None


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
