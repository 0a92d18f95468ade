"""Runs and compilations in their child process, as the command line starts them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

PIPELINE = """
import os, pathlib, time
from tfx import v1 as tfx
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.v1.dsl.components import Parameter

@component
def Sleeper(folder: Parameter[str]):
    print("x" * 1000)
    pathlib.Path(folder, "pid").write_text(str(os.getpid()))
    time.sleep(300)

def create_pipeline(root):
    return Pipeline(
        "sleepy",
        pipeline_root=root + "/artifacts",
        components=[Sleeper(folder=root)],
        metadata_connection_config=metadata.sqlite_metadata_connection_config(root + "/metadata.sqlite"),
    )
"""
SLIMLINE = Path(sys.executable).with_name("slimline")


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "sleepy.py").write_text(PIPELINE)
    return tmp_path


def start(folder: Path, *arguments: str, path: Path | None = None) -> "subprocess.Popen[str]":
    paths = [str(path or folder), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [str(SLIMLINE), *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_banner_at_the_start_of_the_interpreter_breaks_nothing(folder):
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("print('welcome to this machine', flush=True)\n")
    process = start(
        folder,
        "compile",
        "sleepy:create_pipeline",
        "-o",
        "p.yaml",
        "--image",
        "i@sha256:0",
        "--root",
        str(folder),
        "--pvc",
        f"data:{folder}",
        path=site,
    )
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    assert (folder / "p.yaml").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_run_that_is_ended_leaves_no_process_and_nothing_running(folder, number):
    process = start(folder, "run", "sleepy:create_pipeline", "--root", str(folder / "root"))
    pid = folder / "root" / "pid"
    deadline = time.monotonic() + 300
    while not pid.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(0.5)
    child = int(pid.read_text())
    process.send_signal(number)
    shown, _ = process.communicate(timeout=120)
    assert process.returncode == 1, shown
    assert "SIGTERM" in shown
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / "root" / "metadata.sqlite")
    (execution,) = MetadataStore(config).get_executions()
    assert execution.last_known_state == metadata_store_pb2.Execution.FAILED
