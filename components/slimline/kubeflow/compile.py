"""Compiles a pipeline into the YAML that Kubeflow Pipelines takes."""

from pathlib import Path

from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.orchestration.pipeline import Pipeline


def compile_pipeline(pipeline: Pipeline, output: Path, image: str) -> None:
    """Writes the pipeline's specification.

    Args:
      pipeline: The same object that the local runners take.
      output: File ending in `.yaml`; written as whole or not at all.
      image: Container image with Slimline in it, for every component.
    """
    partial = output.with_name(f".partial-{output.name}")
    runner = KubeflowV2DagRunner(
        # Schema 2.1 is the one that open-source Kubeflow loads; TFX's default is older (docs/decisions.md).
        config=KubeflowV2DagRunnerConfig(default_image=image, use_pipeline_spec_2_1=True),
        output_dir=str(output.parent),
        output_filename=partial.name,
    )
    try:
        runner.run(pipeline)
        partial.rename(output)
    finally:
        partial.unlink(missing_ok=True)
