"""Lets Kubeflow's own SDK write what it knows to write: resources, retries, secrets, volumes.

TFX writes none of it. So a second pipeline is compiled by kfp, with one empty task for each of TFX's components, on
which the options are set with kfp's own functions; what kfp wrote for each task is then taken over into TFX's
specification.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from kfp import compiler, dsl, kubernetes

from slimline.kubeflow.options import CompileOptions

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """What kfp wrote for one task.

    Attributes:
      container: Its `resources` and `env`, where there are any.
      task: Its `retryPolicy`, where there is one.
      platform: Its part of the Kubernetes document; empty when there is none.
    """

    container: Json
    task: Json
    platform: Json


def write_options(component_ids: Sequence[str], options: CompileOptions) -> dict[str, Written]:
    """Returns what kfp writes for each component.

    Args:
      component_ids: Of the pipeline, in order.
      options: What was asked for.
    """

    @dsl.pipeline(name="carrier")
    def carrier() -> None:
        for number, component_id in enumerate(component_ids):
            _set(_empty_component(number)(), component_id, options)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "carrier.yaml"
        compiler.Compiler().compile(carrier, os.fspath(path))
        specification, *platforms = list(yaml.safe_load_all(path.read_text()))
    executors = specification["deploymentSpec"]["executors"]
    tasks = specification["root"]["dag"]["tasks"]
    kubernetes_part: Json = {}
    if platforms:
        kubernetes_part = platforms[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {
        component_id: Written(
            {
                key: executors[f"exec-t{number}"]["container"][key]
                for key in ("resources", "env")
                if key in executors[f"exec-t{number}"]["container"]
            },
            {key: tasks[f"t{number}"][key] for key in ("retryPolicy",) if key in tasks[f"t{number}"]},
            kubernetes_part.get(f"exec-t{number}", {}),
        )
        for number, component_id in enumerate(component_ids)
    }


def _empty_component(number: int) -> Callable[[], Any]:
    # kfp reads the annotation.
    def component() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="carrier", command=["true"], args=[])

    component.__name__ = f"t{number}"
    made: Callable[[], Any] = dsl.container_component(component)
    return made


def _set(task: Any, component_id: str, options: CompileOptions) -> None:
    resources = options.resources.get(component_id)
    if resources is not None:
        if resources.cpu:
            task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
        if resources.memory:
            task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
        if resources.gpu:
            task.set_accelerator_type(resources.gpu_type).set_accelerator_limit(resources.gpu)
    if options.retries:
        task.set_retry(options.retries, backoff_duration="30s", backoff_factor=2)
    for name, value in options.env.items():
        task.set_env_variable(name, value)
    _set_kubernetes(task, options)


def _set_kubernetes(task: Any, options: CompileOptions) -> None:
    for name, reference in options.secret_env.items():
        kubernetes.use_secret_as_env(task, reference.name, {reference.key: name})
    for name, reference in options.config_env.items():
        kubernetes.use_config_map_as_env(task, reference.name, {reference.key: name})
    for volume in options.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path)
    for name, value in options.node_selector.items():
        kubernetes.add_node_selector(task, name, value)
    for toleration in options.tolerations:
        operator: Any = "Exists" if toleration.value is None else "Equal"
        kubernetes.add_toleration(
            task, key=toleration.key, operator=operator, value=toleration.value, effect=toleration.effect
        )
    if options.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(options.image_pull_secrets))
    for name, value in options.labels.items():
        kubernetes.add_pod_label(task, name, value)
    if options.timeout_s is not None:
        kubernetes.set_timeout(task, options.timeout_s)


def platform_document(written: Mapping[str, Written], labels: Mapping[str, str]) -> Json | None:
    """Returns the Kubernetes document of a pipeline; None when nothing of it was asked for.

    Args:
      written: By component id.
      labels: The executor's label of each component id.
    """
    executors = {labels[name]: part.platform for name, part in written.items() if part.platform}
    if not executors:
        return None
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
