"""A compiled pipeline as the PipelineJob that Vertex AI takes."""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


def pipeline_job(specification: Json, root: str) -> Json:
    """Returns the job.

    Args:
      specification: Of the pipeline.
      root: Where Vertex keeps artifacts, a `gs://` address.
    """
    name = specification["pipelineInfo"]["name"]
    declared = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {key: spec["defaultValue"] for key, spec in declared.items() if "defaultValue" in spec}
    return {
        "displayName": name,
        "pipelineSpec": specification,
        "runtimeConfig": {"gcsOutputDirectory": root, "parameterValues": values},
    }
