"""What a container on Kubeflow receives and gives back, put right for TFX's container entry point.

Plain JSON in and out; no TFX. Open-source Kubeflow differs from what TFX was written for (kubeflow/pipelines 2.17,
`backend/src/v2`): it adds outputs of its own types, leaves out the types of inputs, and speaks of objects that its
launcher has downloaded, or will upload, by addresses that TFX can't open.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from slimline.errors import PipelineError
from slimline.names import metadata_keys

Json: TypeAlias = dict[str, Any]

# As the launcher's LocalPathForURI.
_LOCAL_PREFIXES = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}
_OPENED_EVERYWHERE = ("gs://", "hdfs://")
# Where the launcher's volumes are, when that is not the root: for running tasks outside of a cluster.
MOUNT = "SLIMLINE_KUBEFLOW_MOUNT"
_SYSTEM = "system."
_EXECUTOR_LOGS = "executor-logs"


@dataclass(frozen=True)
class Adapted:
    """An ExecutorInput that TFX takes, and what is needed to translate its answer.

    Attributes:
      executor_input: For TFX.
      system_outputs: Outputs of Kubeflow's own types, by key, which TFX must not see: each a RuntimeArtifact whose
        `uri` can be written to from here.
      addresses: From each local path to the address that stands for it; empty when nothing was mapped.
      names: Names of all artifacts, as the metadata store knows them.
      output_file: Where TFX writes its answer.
    """

    executor_input: Json
    system_outputs: Mapping[str, Json]
    addresses: Mapping[str, str]
    names: Sequence[str]
    output_file: str


def adapt(executor_input: Json, inputs_spec: Json, *, remote_beam: bool = False) -> Adapted:
    """Makes of what Kubeflow gives what TFX takes.

    Addresses are mapped only below open-source Kubeflow's launcher, which moves the files. It is known by what it
    leaves out or adds: types of inputs, and the output `executor-logs`. Vertex gives complete types, and addresses that
    TFX opens itself.

    Args:
      executor_input: The ExecutorInput as JSON.
      inputs_spec: The component's ComponentInputsSpec as JSON: the types of the inputs.
      remote_beam: Whether Beam's workers are on other machines, where the launcher's files are not.

    Raises:
      PipelineError: Remote workers would have to open addresses that they can't.
    """
    output_file = executor_input.get("outputs", {}).get("outputFile", "")
    launcher_moves_files = _is_open_source(executor_input)
    addresses: dict[str, str] = {}

    def place(artifact: Json) -> Json:
        uri = artifact.get("uri", "")
        if launcher_moves_files and remote_beam:
            _require_opened_everywhere(uri)
        elif launcher_moves_files:
            local = local_path(uri)
            if local != uri:
                addresses[local] = uri
                return {**artifact, "uri": local}
        return artifact

    types = {key: spec["artifactType"] for key, spec in inputs_spec.get("artifacts", {}).items()}
    inputs = {
        key: {"artifacts": [_with_type(place(artifact), types.get(key)) for artifact in listed.get("artifacts", [])]}
        for key, listed in executor_input.get("inputs", {}).get("artifacts", {}).items()
    }
    outputs: Json = {}
    system_outputs: dict[str, Json] = {}
    for key, listed in executor_input.get("outputs", {}).get("artifacts", {}).items():
        artifacts = [place(artifact) for artifact in listed["artifacts"]]
        if artifacts and artifacts[0].get("type", {}).get("schemaTitle", "").startswith(_SYSTEM):
            system_outputs[key] = artifacts[0]
        else:
            outputs[key] = {"artifacts": artifacts}
    adapted = {
        **executor_input,
        "inputs": {**_declared_parameters(executor_input.get("inputs", {}), inputs_spec), "artifacts": inputs},
        "outputs": {**executor_input.get("outputs", {}), "artifacts": outputs},
    }
    names = [artifact["name"] for listed in inputs.values() for artifact in listed["artifacts"] if "name" in artifact]
    return Adapted(adapted, system_outputs, addresses, names, output_file)


def restore(executor_output: Json, adapted: Adapted) -> Json:
    """Makes of TFX's answer what Kubeflow takes.

    Addresses are left out where they were mapped: Kubeflow knows them, and a local path in their place makes the
    launcher skip the upload with a warning only. Paths in metadata become addresses again; TFX's hashed ids, which a
    double can't hold, become the names that they were made of; what is None, which fails the task, goes.
    """
    artifacts = {
        key: {"artifacts": [_restore_artifact(artifact, adapted) for artifact in listed.get("artifacts", [])]}
        for key, listed in executor_output.get("artifacts", {}).items()
    }
    return {**executor_output, "artifacts": artifacts} if artifacts else executor_output


def _declared_parameters(inputs: Json, inputs_spec: Json) -> Json:
    """Leaves out what compiling added for Kubeflow's cache alone, as the version of the data."""
    if "parameterValues" not in inputs or not inputs_spec:
        return inputs
    declared = inputs_spec.get("parameters", {})
    return {**inputs, "parameterValues": {key: v for key, v in inputs["parameterValues"].items() if key in declared}}


def local_path(uri: str) -> str:
    """Returns where the launcher keeps what is at an address; other addresses stay as they are."""
    for scheme, folder in _LOCAL_PREFIXES.items():
        if uri.startswith(scheme):
            return os.environ.get(MOUNT, "") + folder + uri.removeprefix(scheme)
    return uri


def _is_open_source(executor_input: Json) -> bool:
    inputs = executor_input.get("inputs", {}).get("artifacts", {})
    outputs = executor_input.get("outputs", {}).get("artifacts", {})
    listed = [artifact for group in (*inputs.values(), *outputs.values()) for artifact in group.get("artifacts", [])]
    has_bare_input = any(
        not _has_type(artifact) for group in inputs.values() for artifact in group.get("artifacts", [])
    )
    has_bucket = any(artifact.get("uri", "").startswith(("minio://", "s3://")) for artifact in listed)
    return has_bare_input or has_bucket or _EXECUTOR_LOGS in outputs


def _has_type(artifact: Json) -> bool:
    given = artifact.get("type", {})
    return bool(given.get("instanceSchema") or given.get("schemaTitle"))


def _restore_artifact(artifact: Json, adapted: Adapted) -> Json:
    restored = {key: value for key, value in artifact.items() if key != "uri" or not adapted.addresses}
    metadata = {
        key: _name_of(value, adapted.names)
        if key == metadata_keys.CURRENT_MODEL_ID
        else _with_addresses(value, adapted.addresses)
        for key, value in artifact.get("metadata", {}).items()
        if value is not None
    }
    return {**restored, "metadata": metadata} if "metadata" in artifact else restored


def _with_addresses(value: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        # The longest first: one artifact's path may be the beginning of another's.
        for local in sorted(addresses, key=len, reverse=True):
            value = value.replace(local, addresses[local])
        return value
    if isinstance(value, Mapping):
        return {key: _with_addresses(inner, addresses) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_addresses(inner, addresses) for inner in value]
    return value


def _name_of(value: Any, names: Sequence[str]) -> Any:
    """Finds the name behind an id, which TFX makes by hashing and writes as a double."""
    for name in names:
        if isinstance(value, int | float) and float(value) == float(_hashed_id(name)):
            return name
    return value


def _hashed_id(name: str) -> int:
    """As `_get_hashed_id` of tfx 1.21's kubeflow_v2_entrypoint_utils."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % (1 << 63)


def _with_type(artifact: Json, declared: Json | None) -> Json:
    if _has_type(artifact) or declared is None:
        return artifact
    return {**artifact, "type": declared}


def _require_opened_everywhere(uri: str) -> None:
    if uri and "://" in uri and not uri.startswith(_OPENED_EVERYWHERE):
        raise PipelineError(
            f"the artifact {uri} and a Beam runner with workers on other machines",
            "an address that those workers can open: gs:// or hdfs://",
            "submit with a pipeline root there, or leave --runner out so that Beam runs inside of the container",
        )
