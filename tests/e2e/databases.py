"""Real database servers on loopback, started for the tests and stopped after them, and stores copied into them."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

OWNER, READER = "owner", "reader"
# Of servers that live as long as the tests, and listen on loopback.
PASSWORD = "s3cret-of-the-tests"
_START_S = 60.0
_POSTGRES_PLACES = ("/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin")


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
      scheme: Of its addresses.
      port: On 127.0.0.1.
      sql: The client's command, which reads statements from standard input.
    """

    scheme: str
    port: int
    sql: tuple[str, ...]

    def create(self, database: str) -> None:
        """Makes a database with an account that owns it; `allow_reading` makes one that may only read."""
        if self.scheme == "mysql":
            self.run(f"CREATE DATABASE {database}; GRANT ALL ON {database}.* TO {OWNER}@'127.0.0.1' {self._identified}")
        else:
            self.run(f"CREATE DATABASE {database} OWNER {OWNER}")

    def allow_reading(self, database: str) -> None:
        """Lets the reader's account select, and nothing else."""
        if self.scheme == "mysql":
            self.run(f"GRANT SELECT ON {database}.* TO {READER}@'127.0.0.1' {self._identified}")
        else:
            self.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}", database)

    def run(self, statements: str, database: str = "") -> str:
        """Runs statements as the server's own administrator; returns what the client printed."""
        command = [*self.sql, *([database] if database else [])]
        done = subprocess.run(command, input=statements + ";\n", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def address(self, database: str, user: str) -> str:
        """Returns what a user gives as `--metadata`."""
        return f"{self.scheme}://{user}@127.0.0.1:{self.port}/{database}"

    @property
    def _identified(self) -> str:
        return f"IDENTIFIED BY '{PASSWORD}'"


def find_program(name: str) -> str | None:
    """Returns a server's program; Debian keeps PostgreSQL's out of the path."""
    path = os.pathsep.join((*_POSTGRES_PLACES, os.environ.get("PATH", ""), "/usr/sbin"))
    return shutil.which(name, path=path)


@contextmanager
def mariadb(folder: Path) -> Iterator[Server]:
    """Runs MariaDB with its data in a folder."""
    data, login = folder / "mariadb", f"--socket={folder / 'm.sock'}"
    install = [str(find_program("mariadb-install-db")), f"--datadir={data}", "--auth-root-authentication-method=normal"]
    _call([*install, "--skip-test-db"])
    port = _free_port()
    start = [str(find_program("mariadbd")), "--no-defaults", f"--datadir={data}", login, f"--port={port}"]
    start += ["--bind-address=127.0.0.1", f"--pid-file={folder / 'm.pid'}", "--skip-name-resolve"]
    sql = (str(find_program("mariadb")), "--no-defaults", "-u", "root", login)
    with _running(start, port, folder / "mariadb.log"):
        yield Server("mysql", port, sql)


@contextmanager
def postgresql(folder: Path) -> Iterator[Server]:
    """Runs PostgreSQL with its data in a folder."""
    data, port = folder / "postgresql", _free_port()
    _call([str(find_program("initdb")), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"])
    # Whoever comes over the network needs the password; the administrator comes through the socket.
    (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    start = [str(find_program("postgres")), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    start += ["-k", str(folder)]
    sql = (
        str(find_program("psql")),
        "-h",
        str(folder),
        "-p",
        str(port),
        "-U",
        "postgres",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
    )
    with _running(start, port, folder / "postgresql.log"):
        server = Server("postgresql", port, sql)
        for name in (OWNER, READER):
            server.run(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'", "postgres")
        yield server


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("w") as stream:
        process = subprocess.Popen([*_unprivileged(), *command], stdout=stream, stderr=stream)
        try:
            deadline = time.monotonic() + _START_S
            while not _answers(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait(30)


def _call(command: list[str]) -> None:
    done = subprocess.run([*_unprivileged(), *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _unprivileged() -> list[str]:
    """Returns what starts a program without root's rights, with which PostgreSQL refuses to run."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def copy_store(source: MetadataStore, target: MetadataStore) -> None:
    """Writes all rows of a store into an empty one, in the order of their ids, so that they are the same there."""
    artifact_types = {t.name: target.put_artifact_type(_plain_type(t)) for t in source.get_artifact_types()}
    execution_types = {t.name: target.put_execution_type(_plain_type(t)) for t in source.get_execution_types()}
    context_types = {t.name: target.put_context_type(_plain_type(t)) for t in source.get_context_types()}
    contexts = {}
    for context in sorted(source.get_contexts(), key=lambda row: row.id):
        (contexts[context.id],) = target.put_contexts([_copied(context, context_types)])
    for artifact in sorted(source.get_artifacts(), key=lambda row: row.id):
        assert target.put_artifacts([_copied(artifact, artifact_types)]) == [artifact.id]
    for execution in sorted(source.get_executions(), key=lambda row: row.id):
        assert target.put_executions([_copied(execution, execution_types)]) == [execution.id]
        for event in source.get_events_by_execution_ids([execution.id]):
            target.put_events([event])
    _copy_contexts(source, target, contexts)


def _copy_contexts(source: MetadataStore, target: MetadataStore, contexts: dict[int, int]) -> None:
    for old, new in contexts.items():
        attributions = [pb.Attribution(artifact_id=a.id, context_id=new) for a in source.get_artifacts_by_context(old)]
        associations = [
            pb.Association(execution_id=e.id, context_id=new) for e in source.get_executions_by_context(old)
        ]
        target.put_attributions_and_associations(attributions, associations)
        for parent in source.get_parent_contexts_by_context(old):
            target.put_parent_contexts([pb.ParentContext(child_id=new, parent_id=contexts[parent.id])])


def _plain_type(row):
    kept = type(row)()
    kept.CopyFrom(row)
    kept.ClearField("id")
    return kept


def _copied(row, type_ids: dict[str, int]):
    kept = _plain_type(row)
    kept.type_id = type_ids[row.type]
    for name in ("type", "create_time_since_epoch", "last_update_time_since_epoch"):
        kept.ClearField(name)
    return kept
