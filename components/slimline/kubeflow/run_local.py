"""Runs a compiled pipeline on this machine by the rules of Kubeflow's driver and launcher.

Each task is a process that is given what its container would be given: an ExecutorInput as the driver makes it (inputs
without types, an output `executor-logs`, addresses of a bucket), input files that were downloaded, and empty folders.
What it leaves is uploaded by the launcher's rules, so that a task which would lose its outputs on Kubeflow fails here.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from slimline.core.atomic_write import write_file
from slimline.errors import PipelineError
from slimline.kubeflow.compiled_file import CompiledFile, parameter_values, producers, read_compiled
from slimline.kubeflow.conditions import is_triggered
from slimline.kubeflow.local_processes import LocalProcesses
from slimline.kubeflow.local_store import LocalStore
from slimline.kubeflow.local_task import Place, executor_input, run_once

Json: TypeAlias = dict[str, Any]
Tell: TypeAlias = Callable[[str], None]

_STATE = "state.json"


@dataclass(frozen=True)
class LocalRun:
    """What came of it.

    Attributes:
      states: `done`, `kept` (from an earlier run), `failed` or `skipped`, by task. A task is skipped when its condition
        is false, or when one that it waits for failed or was skipped.
      seconds: Of each task that ran.
      own_seconds: Of these, what was not the task's own process.
      logs: Folder with a log for each task.
    """

    states: Mapping[str, str]
    seconds: Mapping[str, float]
    own_seconds: Mapping[str, float]
    logs: Path

    @property
    def failed(self) -> list[str]:
        """Tasks that failed."""
        return [name for name, state in self.states.items() if state == "failed"]


def run_local(file: Path, folder: Path, *, parameters: Mapping[str, Any], num_processes: int, tell: Tell) -> LocalRun:
    """Runs every task, independent ones side by side, and goes on where an earlier run of the same file stood.

    Args:
      file: As `slimline compile` wrote it.
      folder: For the bucket, scratch volumes, logs and the record of what is done.
      parameters: Values of the pipeline's parameters.
      num_processes: Tasks at the same time.
      tell: Takes a line for each step.

    Raises:
      PipelineError: The file is none that Kubeflow loads, or asks for what can't be done here.
    """
    compiled = read_compiled(file)
    require_carried_out(compiled)
    values = parameter_values(compiled.specification, parameters)
    return _Run(compiled, folder, values, tell).carry_out(num_processes)


def require_carried_out(compiled: CompiledFile) -> None:
    """Checks that every task is one that runs here.

    Raises:
      PipelineError: A task is no container, or needs a secret that is not in the environment.
    """
    for name in compiled.tasks:
        if "container" not in compiled.executor(name):
            raise PipelineError(
                f"the task {name}, which is no container", "components with an executor", "run it on Kubeflow"
            )
    for variable, holder in compiled.secrets():
        if variable not in os.environ:
            raise PipelineError(
                f"no environment variable {variable}, which on Kubeflow comes from the {holder}",
                "a value for it here",
                f"set {variable} before you run it",
            )


class _Run:
    def __init__(self, compiled: CompiledFile, folder: Path, parameters: Mapping[str, Any], tell: Tell) -> None:
        self._compiled = compiled
        self._folder = folder.resolve()
        self._place = Place(self._folder, LocalStore(self._folder / "bucket"), LocalProcesses())
        self._parameters = parameters
        self._tell = tell
        self._seconds: dict[str, float] = {}
        self._own_seconds: dict[str, float] = {}

    def carry_out(self, num_processes: int) -> LocalRun:
        logs = self._folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        tasks, done = self._compiled.tasks, self._read_state()
        states = {name: "kept" for name in tasks if name in done}
        running: dict[Future[Json | None], str] = {}
        with ThreadPoolExecutor(num_processes) as pool:
            try:
                while True:
                    for name in self._ready(states, running.values()):
                        running[pool.submit(self._run_task, name, done)] = name
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        name = running.pop(future)
                        states[name] = self._finish(name, future, done)
            except BaseException:
                self._place.processes.end_all()
                raise
        states |= {name: "skipped" for name in tasks if name not in states}
        return LocalRun({name: states[name] for name in tasks}, self._seconds, self._own_seconds, logs)

    def _ready(self, states: Mapping[str, str], running: Collection[str]) -> list[str]:
        good = {name for name, state in states.items() if state in ("done", "kept")}
        return [
            name
            for name, task in self._compiled.tasks.items()
            if name not in states and name not in running and producers(task) <= good
        ]

    def _finish(self, name: str, future: "Future[Json | None]", done: dict[str, Json]) -> str:
        try:
            recorded = future.result()
        except PipelineError as error:
            self._tell(f"{name}: failed. {error.found}")
            return "failed"
        if recorded is None:
            self._tell(f"{name}: its condition is false")
            return "skipped"
        done[name] = recorded
        self._write_state(done)
        self._tell(f"{name}: done in {self._seconds[name]:.1f} s")
        return "done"

    def _run_task(self, name: str, done: Mapping[str, Json]) -> Json | None:
        """Returns the recorded outputs; None when the condition is false."""
        started, of_process = time.monotonic(), 0.0
        task = self._compiled.tasks[name]
        given = executor_input(self._compiled, name, self._parameters, done)
        condition = task.get("triggerPolicy", {}).get("condition")
        if condition and not is_triggered(condition, given):
            return None
        attempts = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        for attempt in range(1, attempts + 1):
            self._tell(f"{name}: starts{f', attempt {attempt} of {attempts}' if attempts > 1 else ''}")
            try:
                recorded, of_process = run_once(self._compiled, name, given, attempt, self._place)
                return recorded
            except PipelineError:
                if attempt == attempts:
                    raise
            finally:
                self._seconds[name] = time.monotonic() - started
                self._own_seconds[name] = self._seconds[name] - of_process
        raise AssertionError("the last attempt returns or raises")

    def _read_state(self) -> dict[str, Json]:
        path = self._folder / _STATE
        if not path.is_file():
            return {}
        content = json.loads(path.read_text())
        same = content["specification"] == self._compiled.specification and content["parameters"] == self._parameters
        return dict(content["done"]) if same else {}

    def _write_state(self, done: Mapping[str, Json]) -> None:
        content = {"specification": self._compiled.specification, "parameters": self._parameters, "done": done}
        write_file(self._folder / _STATE, json.dumps(content).encode())
