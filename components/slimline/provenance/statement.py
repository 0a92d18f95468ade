"""One step of a pipeline as an in-toto statement with SLSA's provenance.

Formats: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
https://slsa.dev/spec/v1.0/provenance. The subjects are the files that the step wrote. SLSA says what was asked for
(`externalParameters`), what was used (`resolvedDependencies`) and who did it (`runDetails`); what else an audit asks,
as the files of each input, stands in annotations, where the formats have room for it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slimline.errors import ProvenanceError
from slimline.provenance.envelope import Envelope
from slimline.provenance.manifest import FileEntry, Manifest

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:slimline:step:v1"
_BUILDER = "urn:slimline:executor"
# The digest of a list of files is not that of a file: in-toto leaves the names of algorithms open.
_LISTING = "sha256sumListing"
# An input of more files is named by its root digest alone: the chain travels with the model.
_MAX_LISTED_FILES = 200


@dataclass(frozen=True)
class ArtifactState:
    """What lay in an artifact's folder when a step used or wrote it.

    Attributes:
      key: Under which the component knows it, as `model`.
      type: Type name, as `Model`.
      uri: Of the folder.
      digest: Of the manifest.
      num_files: In the folder.
      size_bytes: Of all files.
      files: Each file; empty when there are too many to list.
      artifact_id: In the metadata store; 0 when it was not known yet.
      step: Digest of the statement of the step that made it; empty when that step made none.
    """

    key: str
    type: str
    uri: str
    digest: str
    num_files: int
    size_bytes: int
    files: tuple[FileEntry, ...] = ()
    artifact_id: int = 0
    step: str = ""

    @classmethod
    def of(
        cls, key: str, type_name: str, uri: str, manifest: Manifest, artifact_id: int = 0, step: str = ""
    ) -> "ArtifactState":
        """Describes a folder by its manifest."""
        files = manifest.files if len(manifest.files) <= _MAX_LISTED_FILES else ()
        return cls(
            key, type_name, uri, manifest.digest, len(manifest.files), manifest.size_bytes, files, artifact_id, step
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns it as in-toto's resource descriptor."""
        annotations = {
            "type": self.type,
            "num_files": self.num_files,
            "size_bytes": self.size_bytes,
            "files": [entry.to_dict() for entry in self.files],
            "artifact_id": self.artifact_id,
            "step": self.step,
        }
        digest = {_LISTING: self.digest.removeprefix("sha256:")}
        return {"name": self.key, "uri": self.uri, "digest": digest, "annotations": annotations}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ArtifactState":
        """Reads what `to_dict` made."""
        notes = content["annotations"]
        return cls(
            key=str(content["name"]),
            type=str(notes["type"]),
            uri=str(content["uri"]),
            digest="sha256:" + str(content["digest"][_LISTING]),
            num_files=int(notes["num_files"]),
            size_bytes=int(notes["size_bytes"]),
            files=tuple(FileEntry(**entry) for entry in notes["files"]),
            artifact_id=int(notes["artifact_id"]),
            step=str(notes["step"]),
        )


@dataclass(frozen=True)
class Step:
    """One run of a component.

    Attributes:
      component: Class path of the executor.
      node: Id in the pipeline.
      run: The runner's name for the run; empty when it is not known.
      parameters: All that the component was given besides artifacts; JSON parameters are laid out.
      inputs: As they lay when the step began.
      outputs: As it wrote them.
      started: UTC, ISO 8601 with milliseconds, before anything was read.
      finished: The same, after everything was written.
      environment: Versions, platform, actor, host, source commit: each as far as it is known.
    """

    component: str
    node: str
    run: str
    parameters: Mapping[str, Any]
    inputs: tuple[ArtifactState, ...]
    outputs: tuple[ArtifactState, ...]
    started: str
    finished: str
    environment: Mapping[str, Any] = field(default_factory=dict)

    def input(self, key: str) -> ArtifactState | None:
        """Returns the first input under a key, or None."""
        return next((state for state in self.inputs if state.key == key), None)

    def output(self, key: str) -> ArtifactState | None:
        """Returns the first output under a key, or None."""
        return next((state for state in self.outputs if state.key == key), None)

    def to_envelope(self) -> Envelope:
        """Returns the statement, unsigned; the same step gives the same bytes."""
        text = json.dumps(self._statement(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return Envelope(text.encode(), {})

    @classmethod
    def from_envelope(cls, envelope: Envelope) -> "Step":
        """Reads a statement.

        Raises:
          ProvenanceError: It does not describe a step.
        """
        content = envelope.statement()
        try:
            return cls._read(content["predicate"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProvenanceError(
                f"a statement of type {content.get('predicateType')!r} without {error}",
                f"SLSA's provenance with the build type {BUILD_TYPE}",
                "take the file as Slimline wrote it, or the version of Slimline that wrote it",
            ) from None

    def _statement(self) -> dict[str, Any]:
        subjects = [
            {"name": f"{state.key}/{entry.path}", "digest": {"sha256": entry.digest.removeprefix("sha256:")}}
            for state in self.outputs
            for entry in state.files
        ]
        return {
            "_type": STATEMENT_TYPE,
            "subject": subjects,
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "component": self.component,
                        "node": self.node,
                        "parameters": dict(self.parameters),
                    },
                    "internalParameters": dict(self.environment),
                    "resolvedDependencies": [state.to_dict() for state in self.inputs],
                },
                "runDetails": {
                    "builder": {"id": _BUILDER},
                    "metadata": {"invocationId": self.run, "startedOn": self.started, "finishedOn": self.finished},
                    "byproducts": [state.to_dict() for state in self.outputs],
                },
            },
        }

    @classmethod
    def _read(cls, predicate: Mapping[str, Any]) -> "Step":
        definition, details = predicate["buildDefinition"], predicate["runDetails"]
        if definition["buildType"] != BUILD_TYPE:
            raise ValueError(f"the build type {definition['buildType']!r}")
        asked, metadata = definition["externalParameters"], details["metadata"]
        return cls(
            component=str(asked["component"]),
            node=str(asked["node"]),
            run=str(metadata["invocationId"]),
            parameters=dict(asked["parameters"]),
            inputs=tuple(ArtifactState.from_dict(state) for state in definition["resolvedDependencies"]),
            outputs=tuple(ArtifactState.from_dict(state) for state in details["byproducts"]),
            started=str(metadata["startedOn"]),
            finished=str(metadata["finishedOn"]),
            environment=dict(definition["internalParameters"]),
        )
