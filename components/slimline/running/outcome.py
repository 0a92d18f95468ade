"""What came of a run: read from ML Metadata and from the evaluation that the run recorded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slimline.lineage.runs import find_run, outputs_of_type
from slimline.names import file_names, metadata_keys
from slimline.running.planned_store import open_planned_store
from slimline.running.process import Finished


def describe(finished: Finished, log: Path) -> dict[str, Any]:
    """Returns a run's outcome as the JSON object of `slimline run --json`.

    `candidates`, `baseline` and `chosen` are those of the EdgeValidator's evaluation, and empty for a pipeline without
    one; `pushed_to` is None when nothing was pushed.
    """
    plan = finished.plan
    store = open_planned_store(plan)
    run = find_run(store, plan["pipeline"], plan["after"])
    assert run is not None, "the runner recorded no run"
    evaluations = outputs_of_type(store, run, metadata_keys.EDGE_EVALUATION_TYPE)
    evaluation = _read(evaluations[-1].uri) if evaluations else None
    pushed = [a for a in outputs_of_type(store, run, "PushedModel") if a.properties.get(metadata_keys.PUSHED) == 1]
    return {
        "pipeline": plan["pipeline"],
        "run_id": run.run_id,
        "seconds": finished.progress.seconds,
        "components": [
            {"name": name, "state": node.state, "seconds": node.seconds}
            for name, node in finished.progress.nodes.items()
        ],
        "validated": evaluation is not None,
        "primary_metric": evaluation["primary_metric"] if evaluation else None,
        "num_examples": evaluation["num_examples"] if evaluation else None,
        "baseline": evaluation["baseline"] if evaluation else None,
        "candidates": evaluation["candidates"] if evaluation else [],
        "chosen": evaluation["chosen"] if evaluation else None,
        "nearest_miss": evaluation["nearest_miss"] if evaluation else None,
        "warnings": evaluation["warnings"] if evaluation else [],
        "pushed_to": pushed[-1].properties.get(metadata_keys.PUSHED_DESTINATION) if pushed else None,
        "metadata": _locate(plan["metadata"]),
        "log": str(log),
    }


def _read(uri: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(uri) / file_names.EVALUATION).read_text())
    return content


def _locate(config: Mapping[str, Any]) -> str:
    """Says where a store is, without passwords."""
    if "sqlite" in config:
        return str(config["sqlite"]["filenameUri"])
    kind, server = next(iter(config.items()))
    return f"{kind}://{server.get('host', '')}/{server.get('database', server.get('dbname', ''))}"
