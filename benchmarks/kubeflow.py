"""What it costs to go by Kubeflow's rules, and whether what is pushed is the same.

`slimline run digits` and, from the compiled file, `slimline kubeflow run-local`: there each of the 15 tasks is a
process that starts in the entry point of the container, on what Kubeflow's driver and launcher would give it. The
pushed files are compared byte by byte, but for the id of what they were made of. Compiling and entry point are timed
without the imports of TFX, which both need anyway.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.board import Board, Column
from slimline.kubeflow.compile import compile_pipeline
from slimline.kubeflow.executor_input import adapt, restore
from slimline.kubeflow.options import CompileOptions, Volume
from slimline.kubeflow.run_local import LocalRun, run_local
from slimline_pipelines.digits import data
from slimline_pipelines.digits.pipeline import create_pipeline

_REPEATS = 5
_STAMP = re.compile(rb"slimline-[0-9a-f]{32}")


def run(board: Board) -> None:
    """Writes the time of each task, and the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pushed = _run_here(folder / "run")
        volume = folder / "volume"
        data.write_examples(volume)
        compile_s = _compile(volume, folder / "digits.yaml")
        outcome = run_local(folder / "digits.yaml", folder / "local", parameters={}, num_processes=2, tell=print)
        assert not outcome.failed, outcome
        same = _files(pushed) == _files(next((volume / "serving").iterdir()))
        records = (folder / "local" / "state.json").read_text()
    _show(board, outcome)
    board.ratio("run-local pushes the bytes of slimline run", float(same), at_least=1)
    board.ratio("records with a path of a pod", float("/minio/" in records or "/pods/" in records), at_most=0)
    own = sum(outcome.own_seconds.values()) / sum(outcome.seconds.values())
    board.ratio("run-local's own seconds / all seconds of its tasks", own, at_most=0.05)
    board.ratio("seconds of compiling digits, TFX loaded", compile_s, at_most=1)
    board.ratio("seconds that the entry point adds", _entry_point_s(records), at_most=0.2)


def _run_here(root: Path) -> Path:
    command = [sys.executable, "-c", "from slimline.cli import main; main()", "run", "digits"]
    ran = subprocess.run([*command, "--root", str(root), "--json"], capture_output=True, text=True, check=True)
    return Path(json.loads(ran.stdout)["pushed_to"])


def _compile(volume: Path, output: Path) -> float:
    options = CompileOptions(
        image="registry.example/slimline@sha256:0", volumes=(Volume(claim="data", path=str(volume)),), retries=1
    )
    durations = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        compile_pipeline(create_pipeline(str(volume)), output, options)
        durations.append(time.perf_counter() - started)
    return min(durations)


def _entry_point_s(records: str) -> float:
    """Seconds of the entry point's own imports, and of what it does to the largest input and answer there are."""
    done = json.loads(records)["done"]
    artifacts = {
        f"{task}.{key}": {"artifacts": [artifact]}
        for task, outputs in done.items()
        for key, artifact in outputs.items()
    }
    given = {"inputs": {"artifacts": artifacts, "parameterValues": {}}, "outputs": {"artifacts": {}, "outputFile": "x"}}
    started = time.perf_counter()
    restore({"artifacts": artifacts}, adapt(given, {}))
    spent = time.perf_counter() - started
    return spent + _start_s("import slimline.kubeflow.entrypoint") - _start_s("pass")


def _start_s(statement: str) -> float:
    durations = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True, env=dict(os.environ))
        durations.append(time.perf_counter() - started)
    return min(durations)


def _files(folder: Path) -> dict[str, bytes]:
    """Contents by name, without the stamp: it names the Trainer's model, into which Keras writes a random number."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: _STAMP.sub(b"", content) for name, content in files.items()}


def _show(board: Board, outcome: LocalRun) -> None:
    table = board.table(
        "Seconds of each task of digits, two at a time.",
        "task",
        Column("seconds", ".1f"),
        Column("of these run-local's own", ".3f"),
    )
    for name, seconds in outcome.seconds.items():
        table.row(name, seconds, outcome.own_seconds[name])
