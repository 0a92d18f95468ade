"""One task of a compiled pipeline on this machine: what Kubeflow's driver gives it, and its launcher takes.

The rules are those of kubeflow/pipelines 2.17, `backend/src/v2` (docs/kubeflow.md); Kubeflow's own code is not run.
"""

import copy
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from slimline.errors import PipelineError
from slimline.kubeflow.compiled_file import CompiledFile, artifact_inputs
from slimline.kubeflow.executor_input import MOUNT, local_path
from slimline.kubeflow.local_processes import LocalProcesses
from slimline.kubeflow.local_store import LocalStore

Json: TypeAlias = dict[str, Any]

_BUCKET = "minio://mlpipeline/v2/artifacts"
_LOGS = "executor-logs"
_EXECUTOR_INPUT = "{{$}}"
_NO_METADATA: Json = {}


@dataclass(frozen=True)
class Place:
    """Where a run is.

    Attributes:
      folder: Of the run.
      store: What stands for the bucket.
      processes: What the tasks are.
    """

    folder: Path
    store: LocalStore
    processes: LocalProcesses


def executor_input(compiled: CompiledFile, name: str, parameters: Mapping[str, Any], done: Mapping[str, Json]) -> Json:
    """Returns the ExecutorInput of a task as the driver makes it.

    Args:
      compiled: The pipeline.
      name: Of the task.
      parameters: Of the pipeline.
      done: Recorded outputs, by task.
    """
    task, component = compiled.tasks[name], compiled.component(name)
    root = f"{_BUCKET}/{compiled.name}/{name}"
    defined = dict(component.get("outputDefinitions", {}).get("artifacts", {}))
    defined[_LOGS] = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
    return {
        "inputs": {
            "parameterValues": _parameter_values(task, component, parameters),
            "artifacts": {
                key: {"artifacts": [copy.deepcopy(done[given["producerTask"]][given["outputArtifactKey"]])]}
                for key, given in artifact_inputs(task).items()
            },
        },
        "outputs": {
            "artifacts": {
                key: {"artifacts": [{"name": key, "uri": f"{root}/{key}", "type": spec["artifactType"]}]}
                for key, spec in defined.items()
            },
            "outputFile": _in_pod(Path("/"), f"{root}/output_metadata.json").as_posix(),
        },
    }


def run_once(compiled: CompiledFile, name: str, given: Json, attempt: int, place: Place) -> tuple[Json, float]:
    """Runs a task in a pod of its own: a folder with what was downloaded.

    Args:
      compiled: The pipeline.
      name: Of the task.
      given: Its ExecutorInput.
      attempt: From 1.
      place: Where the run is.

    Returns:
      Its recorded outputs, and how many seconds its process took.

    Raises:
      PipelineError: It failed, or left what the launcher refuses.
    """
    pod = place.folder / "pods" / f"{name}-{attempt}"
    shutil.rmtree(pod, ignore_errors=True)
    try:
        pod.mkdir(parents=True)
        for listed in given["inputs"]["artifacts"].values():
            for artifact in listed["artifacts"]:
                place.store.download(artifact["uri"], _in_pod(pod, artifact["uri"]))
        for listed in given["outputs"]["artifacts"].values():
            # The launcher makes the folder above each output only.
            _in_pod(pod, listed["artifacts"][0]["uri"]).parent.mkdir(parents=True, exist_ok=True)
        output_file = pod / given["outputs"]["outputFile"].lstrip("/")
        given = {**given, "outputs": {**given["outputs"], "outputFile": str(output_file)}}
        log = place.folder / "logs" / f"{name}.log"
        seconds = place.processes.run(
            _command(compiled, name, given), _environment(compiled, name, pod), log, compiled.timeout_s(name)
        )
        recorded = _upload(name, given["outputs"]["artifacts"], _answer(output_file, name), pod, place.store)
    except OSError as error:
        raise PipelineError(
            f"{name}: files can't be moved: {error}", "space, and files that can be read", "free some, and run it again"
        ) from error
    shutil.rmtree(pod)
    return recorded, seconds


def _parameter_values(task: Json, component: Json, parameters: Mapping[str, Any]) -> Json:
    declared = component.get("inputDefinitions", {}).get("parameters", {})
    values = {key: spec["defaultValue"] for key, spec in declared.items() if "defaultValue" in spec}
    for key, given in task.get("inputs", {}).get("parameters", {}).items():
        if "componentInputParameter" in given:
            values[key] = parameters[given["componentInputParameter"]]
        else:
            values[key] = given["runtimeValue"]["constant"]
    return values


def _command(compiled: CompiledFile, name: str, given: Json) -> list[str]:
    container, text = compiled.executor(name)["container"], json.dumps(given)
    command = [
        part.replace(_EXECUTOR_INPUT, text) for part in (*container.get("command", []), *container.get("args", []))
    ]
    # The image's Python is this one.
    return [sys.executable, *command[1:]] if command[0] in ("python", "python3") else command


def _environment(compiled: CompiledFile, name: str, pod: Path) -> dict[str, str]:
    container = compiled.executor(name)["container"]
    given = {entry["name"]: str(entry.get("value", "")) for entry in container.get("env", [])}
    return {**os.environ, **given, MOUNT: str(pod)}


def _answer(output_file: Path, name: str) -> Json:
    if not output_file.is_file():
        return {}
    try:
        answer: Json = json.loads(output_file.read_text())
    except ValueError as error:
        raise PipelineError(f"{name} answered no JSON: {error}", "an ExecutorOutput", "correct the task") from None
    return answer


def _upload(name: str, outputs: Json, answer: Json, pod: Path, store: LocalStore) -> Json:
    recorded = {}
    for key, listed in outputs.items():
        told = answer.get("artifacts", {}).get(key, {}).get("artifacts", [{}])[0]
        uri = told.get("uri") or listed["artifacts"][0]["uri"]
        if "://" not in uri:
            raise PipelineError(
                f"{name} names the local path {uri} as the address of {key}, which Kubeflow would not upload",
                "no address in its answer",
                "compile the pipeline again with this Slimline",
            )
        store.upload(_in_pod(pod, uri), uri)
        metadata = {own: _as_recorded(value, name) for own, value in told.get("metadata", _NO_METADATA).items()}
        recorded[key] = {
            "name": f"{name}/{key}",
            "uri": uri,
            "type": {"instanceSchema": ""},
            "metadata": {**metadata, "display_name": key, "store_session_info": "{}"},
        }
    return recorded


def _in_pod(pod: Path, uri: str) -> Path:
    path = local_path(uri).removeprefix(os.environ.get(MOUNT, ""))
    return pod / path.lstrip("/")


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
