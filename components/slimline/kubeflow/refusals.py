"""What would go wrong on Kubeflow, found while compiling."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tfx.components.example_gen.component import FileBasedExampleGen, QueryBasedExampleGen
from tfx.components.infra_validator.component import InfraValidator
from tfx.components.pusher.component import Pusher
from tfx.dsl.components.common.importer import Importer
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.orchestration.pipeline import Pipeline
from tfx.types.channel import UnionChannel

from slimline.errors import PipelineError
from slimline.kubeflow.options import CompileOptions
from slimline.kubeflow.specification import DATA_VERSION

# As Argo's validation has it, 128 with the "-driver" that Kubeflow adds.
_TASK_NAME = re.compile(r"^[A-Za-z0-9][-A-Za-z0-9]{0,120}$")
_PIPELINE_NAME = re.compile(r"^[a-z0-9][-a-z0-9]{0,127}$")


def always_run(pipeline: Pipeline, options: CompileOptions) -> set[str]:
    """Returns the ids of the components that Kubeflow must not cache.

    Its key knows parameters and input artifacts only, and never runs the part of an ExampleGen that looks for new data:
    a recurring run would see the first run's data for ever. A Pusher that is cached does not push again what was taken
    away. With a `data_version`, whoever submits a run says what data it is about.
    """
    found = {component.id for component in pipeline.components if isinstance(component, (Importer, Pusher))}
    if DATA_VERSION not in options.parameters:
        found |= set(data_readers(pipeline))
    return found | set(options.no_cache)


def data_readers(pipeline: Pipeline) -> list[str]:
    """Returns the ids of the components that read data from outside of the pipeline."""
    kinds = (FileBasedExampleGen, QueryBasedExampleGen)
    return [component.id for component in pipeline.components if isinstance(component, kinds)]


def require_known_components(ids: Sequence[str], options: CompileOptions) -> None:
    """Checks that options are about components that there are.

    Raises:
      PipelineError: One is not.
    """
    named = {"--image-for": options.images, "--resources": options.resources, "--no-cache": options.no_cache}
    for option, given in named.items():
        unknown = sorted(set(given) - set(ids))
        if unknown:
            raise PipelineError(
                f"{option} for {', '.join(unknown)}, which the pipeline does not have",
                f"one of {', '.join(ids)}",
                "correct the component's id",
            )


def require_runnable(pipeline: Pipeline, options: CompileOptions) -> None:
    """Checks for what open-source Kubeflow or Vertex can't do.

    Raises:
      PipelineError: With the alternative.
    """
    name = pipeline.pipeline_info.pipeline_name
    if not _PIPELINE_NAME.match(name):
        raise PipelineError(
            f"a pipeline named {name!r}", "lower-case letters, digits and hyphens", "rename it: Kubeflow takes no other"
        )
    for component in pipeline.components:
        _require_task_name(component.id)
        _require_compiled(component)
        if options.format != "vertex":
            _require_no_resolver(component)
        for key, text in _texts(component.exec_properties):
            _require_no_template(component.id, text)
            if options.format != "vertex":
                _require_no_span(component.id, text)
            _require_reachable(component.id, _path_in(key, text), options)
    for text in pipeline.beam_pipeline_args or []:
        if isinstance(text, str):
            _require_no_template("beam_pipeline_args", text)


def _require_task_name(component_id: str) -> None:
    if not _TASK_NAME.match(component_id):
        raise PipelineError(
            f"a component with the id {component_id!r}",
            "letters, digits and hyphens, at most 121",
            "name it with .with_id(): Kubeflow's names of tasks have no underscores",
        )


def _require_compiled(component: Any) -> None:
    """Refuses what TFX compiles to nothing, or to what no Kubeflow runs."""
    if isinstance(component, InfraValidator):
        raise PipelineError(
            f"the InfraValidator {component.id!r}, which starts a server beside the pipeline",
            "components that run inside of their container",
            "leave it out: EdgeValidator runs every file before it blesses one",
        )
    if component.exec_properties.get("module_file"):
        raise PipelineError(
            f"module_file={component.exec_properties['module_file']!r} of {component.id}",
            "code that is in the image",
            "name the function in a package of the image, as run_fn='package.module.run_fn': TFX would write a wheel "
            "of the file to the pipeline root while it compiles",
        )
    for key, channel in component.inputs.items():
        if isinstance(channel, UnionChannel):
            raise PipelineError(
                f"a union of channels as {key} of {component.id}",
                "one channel for each input",
                "give each an input of its own, as EdgeValidator's candidates have, or join them in a component",
            )
    for key, value in component.exec_properties.items():
        if isinstance(value, Placeholder):
            raise PipelineError(
                f"the parameter {key} of {component.id}, which is another component's output",
                "a value, or a RuntimeParameter",
                "read that output in the component as an artifact: TFX compiles it to a task that does not exist",
            )


def _require_no_resolver(component: Any) -> None:
    if isinstance(component, Resolver):
        raise PipelineError(
            f"the Resolver {component.id!r}",
            "components that run in containers of their own",
            "on Kubeflow, read what is pushed with an Importer, or compile with --format vertex, which runs Resolvers",
        )


def _texts(properties: Any) -> Iterator[tuple[str, str]]:
    for key, value in properties.items():
        if isinstance(value, str):
            yield key, value


def _require_no_template(component_id: str, text: str) -> None:
    if "{{" in text or "$(" in text:
        raise PipelineError(
            f"a parameter of {component_id} with {'{{' if '{{' in text else '$('}",
            "text that Argo and Kubernetes leave as it is",
            "write it without double braces and $(: they would be expanded in the cluster",
        )


def _require_no_span(component_id: str, text: str) -> None:
    if "{SPAN}" in text or "{VERSION}" in text:
        raise PipelineError(
            f"a pattern with {{SPAN}} or {{VERSION}} in {component_id}",
            "a pattern that names the files",
            "Kubeflow never looks for the newest span: make the folder a runtime parameter, and submit its value",
        )


def _require_reachable(component_id: str, path: str | None, options: CompileOptions) -> None:
    """Refuses a path that lies in the pod alone: data is not there, and what is pushed is gone with the pod."""
    if path is None or any(path == v.path or path.startswith(f"{v.path}/") for v in options.volumes):
        return
    if options.format == "vertex":
        way = "give --root gs://BUCKET/FOLDER"
    else:
        way = "give --root on a volume, and --pvc CLAIM:PATH for it, or a --root that TensorFlow opens, as gs://"
    raise PipelineError(f"the path {path} in {component_id}, which no pod shares with another", "a shared place", way)


# Where TFX's components read from: ExampleGens, ImportSchemaGen, Importer.
_READ_KEYS = ("input_base", "schema_file", "artifact_uri")
_BASES = re.compile(r'"(?:base_directory|baseDirectory)":\s*"(/[^"]*)"')


def _path_in(key: str, text: str) -> str | None:
    """Returns a path that data is read from or a model pushed to; None in other parameters."""
    if key in _READ_KEYS and text.startswith("/"):
        return text
    found = _BASES.search(text) if key == "push_destination" else None
    return found[1] if found else None
