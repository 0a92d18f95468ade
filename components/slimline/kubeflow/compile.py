"""Compiles a pipeline into the files that Kubeflow Pipelines and Vertex take."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.orchestration.pipeline import Pipeline

from slimline.core.atomic_write import write_file
from slimline.errors import PipelineError
from slimline.kubeflow.carrier import platform_document, write_options
from slimline.kubeflow.entrypoint import COMMAND
from slimline.kubeflow.manifests import pipeline_resources
from slimline.kubeflow.options import CompileOptions
from slimline.kubeflow.refusals import always_run, data_readers, require_known_components, require_runnable
from slimline.kubeflow.specification import complete, executor_labels
from slimline.kubeflow.vertex import pipeline_job

Json: TypeAlias = dict[str, Any]
_VERTEX_SCHEME = "gs://"


def compile_pipeline(pipeline: Pipeline, output: Path, options: CompileOptions) -> None:
    """Writes the pipeline's specification.

    Args:
      pipeline: The same object that the local runners take.
      output: File to write, as a whole or not at all: `.yaml`, or `.json` for Vertex.
      options: Image, format, and what a platform engineer asks for.

    Raises:
      PipelineError: The pipeline can't run there, or options are about what it does not have.
    """
    ids = [component.id for component in pipeline.components]
    require_known_components(ids, options)
    require_runnable(pipeline, options)
    specification = _by_tfx(pipeline, options.image)
    labels = executor_labels(specification)
    written = write_options([name for name in ids if name in labels], options)
    complete(specification, written, always_run(pipeline, options), data_readers(pipeline), options)
    write_file(output, _documents(specification, platform_document(written, labels), options, _root(pipeline)).encode())


def _root(pipeline: Pipeline) -> str:
    return str(pipeline.pipeline_info.pipeline_root)


def _by_tfx(pipeline: Pipeline, image: str) -> Json:
    # Schema 2.1 is the one that open-source Kubeflow loads; TFX's default is older (docs/decisions.md).
    config = KubeflowV2DagRunnerConfig(default_image=image, default_commands=list(COMMAND), use_pipeline_spec_2_1=True)
    specification: Json = KubeflowV2DagRunner(config=config).run(pipeline, write_out=False)["pipelineSpec"]
    return specification


def _documents(specification: Json, platform: Json | None, options: CompileOptions, root: str) -> str:
    if options.format == "vertex":
        if not root.startswith(_VERTEX_SCHEME):
            raise PipelineError(
                f"the pipeline root {root!r}", "an address that begins with gs://", "give --root gs://BUCKET/FOLDER"
            )
        return json.dumps(pipeline_job(specification, root), indent=1, sort_keys=True) + "\n"
    documents = [specification, *([platform] if platform else [])]
    if options.format == "manifest":
        documents = pipeline_resources(specification, platform, options.namespace, options.version)
    return "---\n".join(yaml.safe_dump(document, sort_keys=True) for document in documents)
