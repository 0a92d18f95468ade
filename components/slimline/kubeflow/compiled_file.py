"""A file that `slimline compile` wrote, read again: its tasks, and what each of them needs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from slimline.errors import PipelineError, near_miss

Json: TypeAlias = dict[str, Any]
_SCHEMA_VERSION = "2.1.0"
_TYPES: Mapping[str, Any] = {
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": int | float,
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


@dataclass(frozen=True)
class CompiledFile:
    """Both documents of a compiled file.

    Attributes:
      specification: The pipeline.
      platform: What Kubernetes gives each executor, by its label: secrets, limits of time.
    """

    specification: Json
    platform: Mapping[str, Json]

    @property
    def name(self) -> str:
        """Of the pipeline."""
        return str(self.specification["pipelineInfo"]["name"])

    @property
    def tasks(self) -> dict[str, Json]:
        """By name."""
        tasks: dict[str, Json] = self.specification["root"]["dag"]["tasks"]
        return tasks

    def component(self, task: str) -> Json:
        """Returns the component that a task runs."""
        found: Json = self.specification["components"][self.tasks[task]["componentRef"]["name"]]
        return found

    def executor(self, task: str) -> Json:
        """Returns how a task is executed; empty for a task that is a pipeline of its own."""
        label = self.component(task).get("executorLabel", "")
        found: Json = self.specification["deploymentSpec"]["executors"].get(label, {})
        return found

    def timeout_s(self, task: str) -> float | None:
        """Returns after how many seconds a task is ended; None for never."""
        seconds = self.platform.get(self.component(task).get("executorLabel", ""), {}).get("activeDeadlineSeconds")
        return float(seconds) if seconds else None

    def secrets(self) -> Iterator[tuple[str, str]]:
        """Yields environment variables that the cluster gives, each with the object that holds it."""
        for part in self.platform.values():
            for kind, holder, name in (
                ("secretAsEnv", "Secret", "secretName"),
                ("configMapAsEnv", "ConfigMap", "configMapName"),
            ):
                for reference in part.get(kind, []):
                    for key in reference["keyToEnv"]:
                        yield key["envVar"], f"{holder} {reference[name]}"


def read_compiled(file: Path) -> CompiledFile:
    """Reads a compiled file.

    Raises:
      PipelineError: It is no specification of schema 2.1.0.
    """
    if not file.is_file():
        raise PipelineError(f"no file {file}", "a file that slimline compile wrote", "check the path")
    try:
        specification, *others = yaml.safe_load_all(file.read_text())
        version = specification["schemaVersion"]
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{file}, which is no pipeline of Kubeflow: {(str(error).splitlines() or ['it is empty'])[0]}",
            "a file that slimline compile wrote",
            "compile it again",
        ) from None
    if version != _SCHEMA_VERSION:
        raise PipelineError(f"{file} of schema {version!r}", f"schema {_SCHEMA_VERSION}", "compile it again")
    platforms = others[0].get("platforms", {}) if others else {}
    executors = platforms.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    return CompiledFile(specification, executors)


def producers(task: Json) -> set[str]:
    """Returns the tasks that a task waits for."""
    return {given["producerTask"] for given in artifact_inputs(task).values()} | set(task.get("dependentTasks", []))


def artifact_inputs(task: Json) -> dict[str, Json]:
    """Returns which output of which task each artifact of a task's input is."""
    given = task.get("inputs", {}).get("artifacts", {})
    return {key: value["taskOutputArtifact"] for key, value in given.items()}


def typed_value(name: str, value: Any, declared: Json) -> Any:
    """Returns a parameter's value, read from a text where it is one.

    Raises:
      PipelineError: The text is of another type.
    """
    kind = declared.get("parameterType", "STRING")
    if not isinstance(value, str) or kind == "STRING":
        return value
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    if not isinstance(read, _TYPES.get(kind, object)) or (isinstance(read, bool) and kind != "BOOLEAN"):
        raise PipelineError(f"--parameter {name}={value}", f"a value of the type {kind}", "correct the value")
    return read


def parameter_values(specification: Json, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the pipeline's parameters.

    Args:
      specification: Of the pipeline.
      given: Values by name; a text is read as the parameter's type says.

    Raises:
      PipelineError: One is missing, unknown or of another type.
    """
    declared = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise PipelineError(
            f"the parameter {', '.join(unknown)}",
            f"one of {', '.join(declared) or 'none: the pipeline has no parameters'}",
            f"correct the name.{near_miss(unknown[0], declared)}",
        )
    values = {name: spec["defaultValue"] for name, spec in declared.items() if "defaultValue" in spec}
    values |= {name: typed_value(name, value, declared[name]) for name, value in given.items()}
    missing = sorted(set(declared) - set(values))
    if missing:
        raise PipelineError(f"no value for {', '.join(missing)}", "a value for each", "give --parameter NAME=VALUE")
    return values
