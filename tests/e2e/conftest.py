import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tfx.orchestration.local.local_dag_runner import LocalDagRunner

from slimline.provenance.ledger import LEDGER_VARIABLE
from tests.e2e.audited import create_pipeline

# Lies in the run's root, where only the tests write.
LEDGER = "runs.ledger"


def pushed(root: Path) -> Path:
    """Returns the one folder that a run pushed."""
    (version,) = (root / "serving").iterdir()
    return version


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A real run, made once for all processes of the tests, and moved: its records name folders that are gone."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    kept = shared / "audited" / "kept"
    with (shared / "audited.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            root = shared / "audited" / "made"
            root.mkdir(parents=True)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(LEDGER_VARIABLE, str(root / LEDGER))
                LocalDagRunner().run(create_pipeline(str(root)))
            root.rename(kept)
    return kept


@pytest.fixture
def root(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "root"))


@pytest.fixture
def keys(tmp_path) -> Callable[[str], Path]:
    """Makes key pairs by name: `NAME.pem` and `NAME.pub`."""

    def make(name: str) -> Path:
        path = tmp_path / f"{name}.pem"
        if not path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
            path.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
            public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
            path.with_suffix(".pub").write_bytes(public)
        return path

    return make


@pytest.fixture
def slimline() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command as a person does."""

    def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "slimline", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd)

    return run


@pytest.fixture
def slimline_json() -> Callable[..., tuple[int, Any]]:
    """Runs a command with `--json`; returns its exit code and what it printed."""

    def run(*arguments: Any) -> tuple[int, Any]:
        command = [sys.executable, "-m", "slimline", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, json.loads(done.stdout)

    return run
