"""Completes what TFX compiles: Kubeflow's caching, its page, and what a platform engineer asked for."""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from slimline.errors import PipelineError
from slimline.kubeflow.carrier import Written
from slimline.kubeflow.compiled_file import typed_value
from slimline.kubeflow.entrypoint import CLASS_OPTION
from slimline.kubeflow.options import CompileOptions
from slimline.kubeflow.page_artifacts import shown_outputs

Json: TypeAlias = dict[str, Any]
# A runtime parameter that Kubeflow's cache sees and no executor does.
DATA_VERSION = "data_version"


def complete(
    specification: Json,
    written: Mapping[str, Written],
    uncached: Collection[str],
    readers: Collection[str],
    options: CompileOptions,
) -> Json:
    """Returns the specification that is submitted.

    Args:
      specification: As TFX wrote it.
      written: What kfp writes for each component.
      uncached: Ids of the components that always run.
      readers: Ids of the components that read data from outside.
      options: Images and parameters.
    """
    tasks, components = specification["root"]["dag"]["tasks"], specification["components"]
    for name, task in tasks.items():
        component = components[task["componentRef"]["name"]]
        executor = specification["deploymentSpec"]["executors"][component["executorLabel"]]
        if name in uncached:
            task["cachingOptions"] = {}
        if name not in written:
            continue
        task.update(written[name].task)
        container = executor.get("container")
        if container is not None:
            container.update(written[name].container)
            container["image"] = options.images.get(name, options.image)
            _add_page_artifacts(component, container)
    if DATA_VERSION in options.parameters:
        _add_data_version(specification, readers)
    _set_parameters(specification["root"], options.parameters)
    return specification


def executor_labels(specification: Json) -> dict[str, str]:
    """Returns the label of each task's executor, for tasks that run in a container."""
    labels = {}
    for name, task in specification["root"]["dag"]["tasks"].items():
        label = specification["components"][task["componentRef"]["name"]]["executorLabel"]
        if "container" in specification["deploymentSpec"]["executors"][label]:
            labels[name] = label
    return labels


def _add_page_artifacts(component: Json, container: Json) -> None:
    arguments = container.get("args", [])
    shown = shown_outputs(arguments[arguments.index(CLASS_OPTION) + 1]) if CLASS_OPTION in arguments else {}
    if shown:
        outputs = component.setdefault("outputDefinitions", {}).setdefault("artifacts", {})
        outputs.update(shown)


def _add_data_version(specification: Json, readers: Collection[str]) -> None:
    """Lets what reads data be cached as long as the version stays, which whoever submits a run gives."""
    root = specification["root"]
    root.setdefault("inputDefinitions", {}).setdefault("parameters", {})[DATA_VERSION] = {"parameterType": "STRING"}
    for name in readers:
        task = root["dag"]["tasks"][name]
        component = specification["components"][task["componentRef"]["name"]]
        declared = component.setdefault("inputDefinitions", {}).setdefault("parameters", {})
        declared[DATA_VERSION] = {"parameterType": "STRING"}
        given = task.setdefault("inputs", {}).setdefault("parameters", {})
        given[DATA_VERSION] = {"componentInputParameter": DATA_VERSION}


def _set_parameters(root: Json, parameters: Mapping[str, str]) -> None:
    declared = root.get("inputDefinitions", {}).get("parameters", {})
    for name, text in parameters.items():
        if name not in declared:
            raise PipelineError(
                f"--parameter {name}, which the pipeline does not have",
                f"one of its runtime parameters: {', '.join(sorted(declared)) or 'it has none'}",
                "declare it with tfx.dsl.experimental.RuntimeParameter, or leave it out",
            )
        declared[name]["defaultValue"] = typed_value(name, text, declared[name])
        declared[name]["isOptional"] = True
