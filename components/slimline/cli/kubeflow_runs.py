"""Runs a compiled pipeline on this machine, and says how it goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slimline.cli.terminal import terminal

_FOLDER = Path("slimline-runs") / "kubeflow"


def run_file(
    file: Path, folder: Path | None, parameters: Mapping[str, Any], num_processes: int, *, as_json: bool
) -> dict[str, Any]:
    """Runs a file and returns what came of it, as `--json` prints it.

    Raises:
      PipelineError: The file is none that Kubeflow loads, or asks for what can't be done here.
    """
    from slimline.kubeflow.compiled_file import read_compiled
    from slimline.kubeflow.run_local import run_local

    console = terminal(stderr=as_json)
    name = read_compiled(file).name
    place = folder or _FOLDER / name
    run = run_local(
        file,
        place,
        parameters=parameters,
        num_processes=num_processes,
        tell=lambda line: console.print(line, soft_wrap=True, markup=False),
    )
    skipped = [task for task, state in run.states.items() if state == "skipped"]
    if skipped:
        console.print(f"not started: {', '.join(skipped)}", soft_wrap=True, markup=False)
    console.print(f"Logs: {run.logs}", soft_wrap=True, markup=False)
    return {
        "pipeline": name,
        "tasks": [
            {"name": task, "state": state, "seconds": run.seconds.get(task, 0.0)} for task, state in run.states.items()
        ],
        "failed": run.failed,
        "folder": str(place.resolve()),
        "logs": str(run.logs),
    }
