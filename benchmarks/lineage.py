"""How long an auditor waits: the lineage of one model, the audit of a large store, its page, and reading files.

The store has 10,000 executions and 30,000 artifacts of 1,000 runs, in sqlite. Lineage is compared with ML Metadata's
own query for it, `get_lineage_subgraph`, which cuts its answer off at 100 hops; the audit with reading the store's rows
and no more; the command with a Python that imports ML Metadata and ends; manifests with `sha256sum` on a file
of 1 GiB. No file of the store's artifacts exists, so that the audit hashes nothing. Figures are CPU seconds of this
process, except where processes are compared, whose wall time counts.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from benchmarks.board import Board, Column
from benchmarks.stores import StoreWriter
from slimline.audit import Case, render_audit, run_audit, take_snapshot
from slimline.lineage.graph import trace
from slimline.lineage.store import STORE_FILE, open_store, sqlite_config
from slimline.names import metadata_keys
from slimline.provenance import manifest_of

_MIB = 2**20
_REPEATS = 9


def run(board: Board) -> None:
    """Writes the tables and the ratios."""
    num_runs, num_mib = (100, 128) if board.quick else (1_000, 1_024)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _write_store(folder, num_runs)
        table = board.table(
            f"A store of {10 * num_runs:,} executions and {30 * num_runs:,} artifacts", "what", Column("ms", ",.1f")
        )
        _measure_lineage(board, table.row, folder, model)
        _measure_audit(board, table.row, folder)
        _measure_command(board, table.row, folder)
        _measure_hashing(board, folder, num_mib)


def _write_store(folder: Path, num_runs: int) -> int:
    """Fills a store; returns the id of a blessed model in its middle."""
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / STORE_FILE)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    writer = StoreWriter(MetadataStore(config), folder)
    ids = [writer.add_run()["EdgeValidator.blessed_model"] for _ in range(num_runs)]
    return ids[num_runs // 2]


def _measure_lineage(board: Board, row: Callable[..., None], folder: Path, model: int) -> None:
    store = open_store(sqlite_config(folder / STORE_FILE))
    options: Any = pb.LineageSubgraphQueryOptions(
        starting_artifacts=pb.LineageSubgraphQueryOptions.StartingNodes(filter_query=f"id = {model}"),
        max_num_hops=100,
        direction=pb.LineageSubgraphQueryOptions.UPSTREAM,
    )
    ours = _cpu_ms(lambda: trace(store, model))
    theirs = _cpu_ms(lambda: store.get_lineage_subgraph(options))
    row("lineage of one model", ours)
    row("the same by get_lineage_subgraph", theirs)
    board.ratio("CPU of a lineage / of ML Metadata's own query", ours / theirs, tolerance=0.3)


def _measure_audit(board: Board, row: Callable[..., None], folder: Path) -> None:
    store = open_store(sqlite_config(folder / STORE_FILE))
    started = time.process_time()
    records = take_snapshot(store, folder)
    snapshot_ms = 1e3 * (time.process_time() - started)
    started = time.process_time()
    case = Case(records, records)
    result = run_audit(case, "store")
    rules_ms = 1e3 * (time.process_time() - started)
    started = time.process_time()
    render_audit(result, records, strict=False)
    row("audit: reading the store", snapshot_ms)
    row(f"audit: all rules, {len(result.findings):,} findings", rules_ms)
    row("audit: its page", 1e3 * (time.process_time() - started))
    started = time.process_time()
    _read_rows(store)
    rows_ms = 1e3 * (time.process_time() - started)
    row("the rows alone, by ML Metadata's client", rows_ms)
    board.ratio("CPU of a whole audit / of reading the rows", (snapshot_ms + rules_ms) / rows_ms, tolerance=0.3)


def _read_rows(store: MetadataStore) -> None:
    """Reads what an audit has to read, and makes nothing of it."""
    artifacts, executions = store.get_artifacts(), store.get_executions()
    for start in range(0, len(artifacts), 5_000):
        store.get_events_by_artifact_ids([artifact.id for artifact in artifacts[start : start + 5_000]])
    for start in range(0, len(executions), 5_000):
        store.get_events_by_execution_ids([execution.id for execution in executions[start : start + 5_000]])
    for run in store.get_contexts_by_type("pipeline_run"):
        store.get_executions_by_context(run.id)


def _measure_command(board: Board, row: Callable[..., None], folder: Path) -> None:
    """Measures the whole command on a file whose digest the store holds."""
    file = folder / "device.tflite"
    file.write_bytes(b"model")
    _record(folder, file)
    command = [sys.executable, "-m", "slimline", "lineage", str(file)]
    plain = [sys.executable, "-c", "import ml_metadata.metadata_store"]
    times: dict[str, list[float]] = {"slimline": [], "plain": []}
    for _ in range(_REPEATS):
        for name, arguments in (("slimline", command), ("plain", plain)):
            started = time.perf_counter()
            subprocess.run(arguments, check=True, capture_output=True)
            times[name].append(1e3 * (time.perf_counter() - started))
    ours, theirs = (float(np.median(times[name])) for name in ("slimline", "plain"))
    row("slimline lineage FILE, the whole process", ours)
    row("a process that imports ML Metadata and ends", theirs)
    board.ratio("slimline lineage FILE / importing ML Metadata", ours / theirs, tolerance=0.3)


def _record(folder: Path, file: Path) -> None:
    """Gives one model of the store the digest of a file."""
    config = sqlite_config(folder / STORE_FILE)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE
    store = MetadataStore(config)
    model = store.get_artifacts_by_type("Model")[-1]
    model.custom_properties[metadata_keys.CONTENT_DIGEST].string_value = manifest_of(file).files[0].digest
    store.put_artifacts([model])


def _measure_hashing(board: Board, folder: Path, num_mib: int) -> None:
    content = folder / "hashed"
    content.mkdir()
    with (content / "weights").open("wb") as stream:
        for _ in range(num_mib):
            stream.write(os.urandom(_MIB))
    times: dict[str, list[float]] = {"slimline": [], "sha256sum": []}
    for _ in range(3):
        started = time.perf_counter()
        manifest_of(content)
        times["slimline"].append(time.perf_counter() - started)
        started = time.perf_counter()
        subprocess.run(["sha256sum", str(content / "weights")], check=True, capture_output=True)
        times["sha256sum"].append(time.perf_counter() - started)
    ours, theirs = (min(times[name]) for name in ("slimline", "sha256sum"))
    table = board.table(f"A manifest of {num_mib} MiB", "by", Column("MiB/s", ",.0f"))
    table.row("slimline", num_mib / ours)
    table.row("sha256sum", num_mib / theirs)
    board.ratio("Throughput of a manifest / of sha256sum", theirs / ours, at_least=0.8, tolerance=0.3)


def _cpu_ms(call: Callable[[], object]) -> float:
    """Returns the median CPU time of a call in milliseconds, after one to warm up."""
    times = []
    call()
    for _ in range(_REPEATS):
        started = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - started))
    return float(np.median(times))
