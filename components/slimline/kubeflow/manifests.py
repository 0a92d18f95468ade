"""A compiled pipeline as Kubernetes resources, for those who keep what runs in git."""

import hashlib
import json
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
# https://github.com/kubeflow/pipelines/tree/master/manifests/kustomize/base/crds.
_API_VERSION = "pipelines.kubeflow.org/v2beta1"


def pipeline_resources(
    specification: Json, platform: Json | None, namespace: str | None, version: str | None
) -> list[Json]:
    """Returns a `Pipeline` and its `PipelineVersion`.

    Args:
      specification: Of the pipeline.
      platform: The Kubernetes document.
      namespace: Of both resources; that of whoever applies them when left out.
      version: Name of the version; made from the content when left out, so that equal pipelines have equal names.
    """
    name = specification["pipelineInfo"]["name"]
    version = version or f"{name}-{_digest(specification, platform)[:12]}"
    place = {"namespace": namespace} if namespace else {}
    content: Json = {"displayName": version, "pipelineName": name, "pipelineSpec": specification}
    if platform:
        content["platformSpec"] = platform
    return [
        {
            "apiVersion": _API_VERSION,
            "kind": "Pipeline",
            "metadata": {"name": name, **place},
            "spec": {"displayName": name},
        },
        {
            "apiVersion": _API_VERSION,
            "kind": "PipelineVersion",
            "metadata": {"name": version, **place},
            "spec": content,
        },
    ]


def _digest(specification: Json, platform: Json | None) -> str:
    return hashlib.sha256(json.dumps([specification, platform], sort_keys=True).encode()).hexdigest()
