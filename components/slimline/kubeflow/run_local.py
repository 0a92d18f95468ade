"""Runs a compiled pipeline on this machine by the rules of Kubeflow's driver and launcher.

Each task is a process that is given what its container would be given: an ExecutorInput as the driver makes it (inputs
without types, an output `executor-logs`, addresses of a bucket), input files that were downloaded, and empty folders.
What it leaves is uploaded by the launcher's rules, so that a task which would lose its outputs on Kubeflow fails here.
The rules are those of kubeflow/pipelines 2.17, `backend/src/v2` (docs/kubeflow.md); Kubeflow's own code is not run.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from slimline.errors import PipelineError
from slimline.kubeflow.executor_input import MOUNT, local_path
from slimline.kubeflow.local_store import LocalStore

Json: TypeAlias = dict[str, Any]
Tell: TypeAlias = Callable[[str], None]

_BUCKET = "minio://mlpipeline/v2/artifacts"
_STATE = "state.json"


@dataclass(frozen=True)
class LocalRun:
    """What came of it.

    Attributes:
      states: `done`, `kept` (from an earlier run), `failed` or `skipped`, by task.
      seconds: Of each task that ran.
      logs: Folder with a log for each task.
    """

    states: Mapping[str, str]
    seconds: Mapping[str, float]
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
    specification = read_specification(file)
    require_carried_out(specification)
    values = parameter_values(specification, parameters)
    run = _Run(specification, folder, values, tell)
    return run.carry_out(num_processes)


def read_specification(file: Path) -> Json:
    """Reads the first document of a compiled file.

    Raises:
      PipelineError: It is no specification of schema 2.1.0.
    """
    if not file.is_file():
        raise PipelineError(f"no file {file}", "a file that slimline compile wrote", "check the path")
    try:
        found = next(iter(yaml.safe_load_all(file.read_text())))
        version = found["schemaVersion"]
    except (yaml.YAMLError, UnicodeDecodeError, StopIteration, KeyError, TypeError) as error:
        raise PipelineError(
            f"{file}, which is no pipeline of Kubeflow: {(str(error).splitlines() or ['it is empty'])[0]}",
            "a file that slimline compile wrote",
            "compile it again",
        ) from None
    if version != "2.1.0":
        raise PipelineError(f"{file} of schema {version!r}", "schema 2.1.0", "compile it again")
    specification: Json = found
    return specification


def require_carried_out(specification: Json) -> None:
    """Checks that every task is one that runs here.

    Raises:
      PipelineError: A task has a condition, is a pipeline of its own or no container.
    """
    for name, task in specification["root"]["dag"]["tasks"].items():
        component = specification["components"][task["componentRef"]["name"]]
        executor = specification["deploymentSpec"]["executors"].get(component.get("executorLabel", ""), {})
        if "condition" in task.get("triggerPolicy", {}):
            raise PipelineError(
                f"the task {name}, which has a condition", "tasks that always run", "run this pipeline on Kubeflow"
            )
        if "container" not in executor:
            raise PipelineError(
                f"the task {name}, which runs no container", "tasks in containers", "run this pipeline on Kubeflow"
            )


def parameter_values(specification: Json, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the pipeline's parameters.

    Raises:
      PipelineError: One is missing, or unknown.
    """
    declared = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise PipelineError(
            f"the parameter {', '.join(unknown)}", f"one of {', '.join(declared) or 'none'}", "correct the name"
        )
    values = {name: spec["defaultValue"] for name, spec in declared.items() if "defaultValue" in spec} | dict(given)
    missing = sorted(set(declared) - set(values))
    if missing:
        raise PipelineError(f"no value for {', '.join(missing)}", "a value for each", "give --parameter NAME=VALUE")
    return values


class _Run:
    def __init__(self, specification: Json, folder: Path, parameters: Mapping[str, Any], tell: Tell) -> None:
        self._specification = specification
        self._tasks: Json = specification["root"]["dag"]["tasks"]
        self._name = specification["pipelineInfo"]["name"]
        self._folder = folder.resolve()
        self._store = LocalStore(self._folder / "bucket")
        self._parameters = parameters
        self._tell = tell
        self._seconds: dict[str, float] = {}

    def carry_out(self, num_processes: int) -> LocalRun:
        logs = self._folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        done = self._read_state()
        states = {name: "kept" for name in self._tasks if name in done}
        running: dict[Future[Json], str] = {}
        with ThreadPoolExecutor(num_processes) as pool:
            while len(states) + len(running) < len(self._tasks) or running:
                for name in self._ready(states, running.values()):
                    running[pool.submit(self._run_task, name, done, logs)] = name
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    states[name] = self._finish(name, future, done)
        states |= {name: "skipped" for name in self._tasks if name not in states}
        return LocalRun({name: states[name] for name in self._tasks}, self._seconds, logs)

    def _ready(self, states: Mapping[str, str], running: Any) -> list[str]:
        good = {name for name, state in states.items() if state in ("done", "kept")}
        return [
            name
            for name, task in self._tasks.items()
            if name not in states and name not in running and producers(task) <= good
        ]

    def _finish(self, name: str, future: "Future[Json]", done: dict[str, Json]) -> str:
        try:
            done[name] = future.result()
        except PipelineError as error:
            self._tell(f"{name}: failed. {error.found}")
            return "failed"
        self._write_state(done)
        self._tell(f"{name}: done in {self._seconds[name]:.1f} s")
        return "done"

    def _run_task(self, name: str, done: Mapping[str, Json], logs: Path) -> Json:
        started = time.monotonic()
        attempts = 1 + int(self._tasks[name].get("retryPolicy", {}).get("maxRetryCount", 0))
        for attempt in range(1, attempts + 1):
            self._tell(f"{name}: starts{f', attempt {attempt} of {attempts}' if attempts > 1 else ''}")
            try:
                outputs = self._attempt(name, done, logs / f"{name}.log", attempt)
                break
            except PipelineError:
                if attempt == attempts:
                    raise
            finally:
                self._seconds[name] = time.monotonic() - started
        return outputs

    def _attempt(self, name: str, done: Mapping[str, Json], log: Path, attempt: int) -> Json:
        # Every pod has volumes of its own.
        pod = self._folder / "pods" / f"{name}-{attempt}"
        shutil.rmtree(pod, ignore_errors=True)
        pod.mkdir(parents=True)
        executor_input = self._executor_input(name, done)
        outputs = json.loads(json.dumps(executor_input["outputs"]["artifacts"]))
        for listed in executor_input["inputs"]["artifacts"].values():
            for artifact in listed["artifacts"]:
                self._store.download(artifact["uri"], _in_pod(pod, artifact["uri"]))
        for listed in outputs.values():
            _in_pod(pod, listed["artifacts"][0]["uri"]).parent.mkdir(parents=True, exist_ok=True)
        executor_input["outputs"]["outputFile"] = str(pod) + executor_input["outputs"]["outputFile"]
        self._call(name, executor_input, pod, log)
        recorded = self._upload(name, outputs, Path(executor_input["outputs"]["outputFile"]), pod)
        shutil.rmtree(pod)
        return recorded

    def _executor_input(self, name: str, done: Mapping[str, Json]) -> Json:
        task = self._tasks[name]
        component = self._specification["components"][task["componentRef"]["name"]]
        root = f"{_BUCKET}/{self._name}/{name}"
        defined = dict(component.get("outputDefinitions", {}).get("artifacts", {}))
        defined["executor-logs"] = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
        return {
            "inputs": {
                "parameterValues": self._parameter_values(task, component),
                "artifacts": {
                    key: {"artifacts": [done[given["producerTask"]][given["outputArtifactKey"]]]}
                    for key, given in _artifact_inputs(task).items()
                },
            },
            "outputs": {
                "artifacts": {
                    key: {"artifacts": [{"name": key, "uri": f"{root}/{key}", "type": spec["artifactType"]}]}
                    for key, spec in defined.items()
                },
                "outputFile": local_path_of_launcher(f"{root}/output_metadata.json"),
            },
        }

    def _parameter_values(self, task: Json, component: Json) -> Json:
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        values = {key: spec["defaultValue"] for key, spec in declared.items() if "defaultValue" in spec}
        for key, given in task.get("inputs", {}).get("parameters", {}).items():
            if "componentInputParameter" in given:
                values[key] = self._parameters[given["componentInputParameter"]]
            else:
                values[key] = given["runtimeValue"]["constant"]
        return values

    def _call(self, name: str, executor_input: Json, pod: Path, log: Path) -> None:
        component = self._specification["components"][self._tasks[name]["componentRef"]["name"]]
        container = self._specification["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        text = json.dumps(executor_input)
        command = [part.replace("{{$}}", text) for part in (*container.get("command", []), *container.get("args", []))]
        # The image's Python is this one.
        command = [sys.executable, *command[1:]] if command[0] in ("python", "python3") else command
        given = {entry["name"]: str(entry.get("value", "")) for entry in container.get("env", [])}
        environment = {**os.environ, **given, MOUNT: str(pod)}
        with log.open("a") as stream:
            code = subprocess.run(command, stdout=stream, stderr=stream, env=environment, check=False).returncode
        if code:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            raise PipelineError(
                f"{name} ended with code {code}: {lines[-1] if lines else 'it said nothing'}",
                "a task that ends with 0",
                f"read {log}; the next run goes on from here",
            )

    def _upload(self, name: str, outputs: Json, output_file: Path, pod: Path) -> Json:
        answer = json.loads(output_file.read_text()) if output_file.is_file() else {}
        recorded = {}
        for key, listed in outputs.items():
            artifact = listed["artifacts"][0]
            told = answer.get("artifacts", {}).get(key, {}).get("artifacts", [{}])[0]
            uri = told.get("uri") or artifact["uri"]
            if "://" not in uri:
                raise PipelineError(
                    f"{name} names the local path {uri} as the address of {key}, which Kubeflow would not upload",
                    "no address in its answer",
                    "compile the pipeline again with this Slimline",
                )
            self._store.upload(_in_pod(pod, uri), uri)
            metadata = {key_: _as_recorded(value, name) for key_, value in told.get("metadata", {}).items()}
            recorded[key] = {
                "name": f"{name}/{key}",
                "uri": uri,
                "type": {"instanceSchema": ""},
                "metadata": {**metadata, "display_name": key, "store_session_info": "{}"},
            }
        return recorded

    def _read_state(self) -> dict[str, Json]:
        path = self._folder / _STATE
        if not path.is_file():
            return {}
        content = json.loads(path.read_text())
        same = content["specification"] == self._specification and content["parameters"] == dict(self._parameters)
        return dict(content["done"]) if same else {}

    def _write_state(self, done: Mapping[str, Json]) -> None:
        content = {"specification": self._specification, "parameters": dict(self._parameters), "done": done}
        partial = self._folder / f"{_STATE}.partial"
        partial.write_text(json.dumps(content))
        partial.replace(self._folder / _STATE)


def producers(task: Json) -> set[str]:
    """Returns the tasks that a task waits for."""
    return {given["producerTask"] for given in _artifact_inputs(task).values()} | set(task.get("dependentTasks", []))


def local_path_of_launcher(uri: str) -> str:
    """Returns where the launcher keeps what is at an address, inside of the pod."""
    return local_path(uri).removeprefix(os.environ.get(MOUNT, ""))


def _artifact_inputs(task: Json) -> dict[str, Json]:
    given = task.get("inputs", {}).get("artifacts", {})
    return {key: value["taskOutputArtifact"] for key, value in given.items()}


def _in_pod(pod: Path, uri: str) -> Path:
    return Path(str(pod) + local_path_of_launcher(uri))


def _as_recorded(value: Any, name: str) -> Any:
    """Returns a value as Kubeflow's metadata gives it back: numbers are doubles, and None fails the task."""
    if value is None:
        raise PipelineError(
            f"{name} recorded None, which Kubeflow's launcher refuses",
            "a number, a string, a list or an object",
            "leave the property out",
        )
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return float(value)
