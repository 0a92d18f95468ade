"""The store of a real run, in MariaDB and in PostgreSQL: the same lineage and the same findings as from its file."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ml_metadata.errors import StatusError
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from slimline.audit import Case, everything, run_audit, take_snapshot
from slimline.cli.exit_codes import BAD_INPUT, OK
from slimline.errors import LineageError
from slimline.lineage.graph import trace, trace_downstream
from slimline.lineage.store import PASSWORD_VARIABLE, database_config, open_named, open_store, sqlite_config
from tests.e2e import databases
from tests.e2e.conftest import pushed
from tests.e2e.databases import OWNER, PASSWORD, READER, Server

pytestmark = pytest.mark.slow
_PROGRAMS = {
    "mariadb": ("mariadbd", "mariadb-install-db", "mariadb"),
    "postgresql": ("postgres", "initdb", "psql"),
}
# Where they have to be there, a test that is skipped for want of them has failed.
_REQUIRED = "SLIMLINE_REQUIRE_DATABASES"


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """The servers that can be run here, by name."""
    # Short: a socket's path has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="db-", dir="/tmp"))
    folder.chmod(0o777)
    with ExitStack() as stack:
        found = {}
        for name, programs in _PROGRAMS.items():
            if all(databases.find_program(program) for program in programs):
                found[name] = stack.enter_context(getattr(databases, name)(folder))
        yield found
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=list(_PROGRAMS))
def server(request, servers, monkeypatch) -> Server:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    if request.param not in servers:
        message = f"no {request.param} on this machine: its Debian package is {request.param}-server or the same name"
        if os.environ.get(_REQUIRED):
            pytest.fail(message)
        pytest.skip(message)
    return servers[request.param]


@pytest.fixture
def database(server, request) -> Iterator[str]:
    name = f"db_{abs(hash(request.node.nodeid)) % 10**12}"
    server.create(name)
    yield name
    server.run(f"DROP DATABASE {name}" + (" WITH (FORCE)" if server.scheme == "postgresql" else ""))


def filled(server: Server, database: str, root: Path) -> MetadataStore:
    """Copies the run's store into a database, which ML Metadata itself sets up, and opens it as a reader does."""
    config = database_config(server.address(database, OWNER))
    databases.copy_store(open_store(sqlite_config(root / "metadata.sqlite")), MetadataStore(config))
    server.allow_reading(database)
    return open_named(server.address(database, READER), None, root).store


def test_lineage_and_findings_are_those_of_the_file(server, database, root):
    other = filled(server, database, root)
    store = open_store(sqlite_config(root / "metadata.sqlite"))
    for artifact in store.get_artifacts():
        for walk in (trace, trace_downstream):
            one, two = walk(store, artifact.id), walk(other, artifact.id)
            assert one.artifacts == two.artifacts
            assert one.producers == two.producers
            assert [(e.node, e.parameters, e.inputs, e.outputs) for e in one.executions.values()] == [
                (e.node, e.parameters, e.inputs, e.outputs) for e in two.executions.values()
            ]
    found = [audited(records) for records in (take_snapshot(store, root), take_snapshot(other, root))]
    assert found[0] == found[1]
    assert len(found[0]) > 50


def audited(records) -> list[tuple[str, ...]]:
    result = run_audit(Case(everything(records, "x").records, records), "x")
    # The rows were copied later than they were made.
    return sorted((f.rule, str(f.status), f.subject, f.text) for f in result.findings if f.rule != "times-in-order")


def test_the_commands_read_with_an_account_that_may_only_read(server, database, root, slimline):
    filled(server, database, root)
    address = server.address(database, READER)
    for command in ("lineage", "history", "audit"):
        place = root / "serving" if command == "history" else pushed(root)
        done = slimline(command, str(place), "--metadata", address, cwd=root)
        assert done.returncode == OK if command != "audit" else done.returncode in (OK, 3), done.stderr
        assert PASSWORD not in done.stdout + done.stderr
    with pytest.raises(StatusError):
        MetadataStore(database_config(address)).put_artifact_type(pb.ArtifactType(name="Written"))


def test_a_wrong_password_is_refused_and_no_password_is_printed(server, database, root, slimline, monkeypatch):
    filled(server, database, root)
    monkeypatch.setenv(PASSWORD_VARIABLE, "wr0ng-one")
    refused = slimline("lineage", str(pushed(root)), "--metadata", server.address(database, READER))
    assert refused.returncode == BAD_INPUT
    assert PASSWORD_VARIABLE in refused.stderr
    assert "wr0ng-one" not in refused.stdout + refused.stderr


def test_a_database_that_is_no_store_stays_as_it_is(server, database, root):
    with pytest.raises(LineageError, match="can't be opened"):
        open_named(server.address(database, READER), None, root)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("mysql://reader:hush-hush@127.0.0.1/mlmd", "a password in mysql://reader:…@127.0.0.1/mlmd"),
        ("mysql://127.0.0.1/mlmd", "the address"),
        ("mysql://reader@127.0.0.1", "the address"),
        ("postgresql://reader@127.0.0.1:port/mlmd", "the address"),
        ("oracle://reader@127.0.0.1/mlmd", "the address"),
    ],
)
def test_what_is_no_address_is_refused_without_its_password(address, found, tmp_path):
    with pytest.raises(LineageError) as error:
        open_named(address, None, tmp_path)
    assert found in str(error.value)
    assert "hush-hush" not in str(error.value)
