"""What rules look at: the store's records, and the files they speak of, each read once."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from slimline.audit.policy import Policy
from slimline.audit.recorded_evaluation import evaluation_problem
from slimline.audit.snapshot import Execution, Snapshot
from slimline.errors import ProvenanceError
from slimline.lineage.records import ArtifactNode
from slimline.names import file_names, metadata_keys
from slimline.provenance.chain import read_chain
from slimline.provenance.envelope import Envelope
from slimline.provenance.ledger import Ledger
from slimline.provenance.manifest import Manifest, manifest_of
from slimline.provenance.statement import Step

_MODEL_TYPES = ("Model", "PushedModel")


@dataclass
class Case:
    """One audit.

    Attributes:
      records: What the store holds, as far as it is audited.
      everything: What the store holds.
      keys: Public keys, one of which must have signed each statement; none when signatures are not asked for.
      policy: What the auditor demands beyond consistency.
      checkout: Of the source code, to compare digests with; None when that is not asked for.
      ledger: Of the steps that ran; None when there is none.
      anchor: Digest of a line of it that was noted elsewhere; empty when none was.
    """

    records: Snapshot
    everything: Snapshot
    keys: tuple[Any, ...] = ()
    policy: Policy | None = None
    checkout: Path | None = None
    ledger: Ledger | None = None
    anchor: str = ""
    _there: dict[int, bool] = field(default_factory=dict)
    _manifests: dict[int, Manifest] = field(default_factory=dict)
    _steps: dict[int, Step | None] = field(default_factory=dict)
    _parsed: dict[str, Step | None] = field(default_factory=dict)
    _chains: dict[int, tuple[Envelope, ...] | str] = field(default_factory=dict)

    def describe(self, artifact: ArtifactNode) -> str:
        """Returns how people call an artifact: type, id, and who made it."""
        maker = self.everything.producers.get(artifact.id)
        return f"{artifact.type} {artifact.id}" + (f" ({maker.node})" if maker and maker.node else "")

    def place(self, artifact: ArtifactNode) -> Path:
        """Returns where an artifact's folder is now."""
        return self.everything.place(artifact.uri)

    def is_there(self, artifact: ArtifactNode) -> bool:
        """Whether anything lies at an artifact's place now."""
        if artifact.id not in self._there:
            self._there[artifact.id] = self.place(artifact).exists()
        return self._there[artifact.id]

    def manifest(self, artifact: ArtifactNode) -> Manifest:
        """Returns the files that lie at an artifact's place now."""
        if artifact.id not in self._manifests:
            self._manifests[artifact.id] = manifest_of(self.place(artifact))
        return self._manifests[artifact.id]

    def chain(self, artifact: ArtifactNode) -> tuple[Envelope, ...]:
        """Returns the statements beside an artifact; none where there are none, or only damaged ones."""
        found = self._chain(artifact)
        return () if isinstance(found, str) else found

    def chain_problem(self, artifact: ArtifactNode) -> str:
        """Returns why the statements beside an artifact can't be read; empty when they can, or there are none."""
        found = self._chain(artifact)
        return found if isinstance(found, str) else ""

    def envelope(self, artifact: ArtifactNode) -> Envelope | None:
        """Returns the statement of the step that made an artifact, by its recorded digest; None without one."""
        wanted = artifact.properties.get(metadata_keys.STEP_DIGEST)
        if not wanted:
            return None
        return next((envelope for envelope in self.chain(artifact) if envelope.digest == wanted), None)

    def step(self, artifact: ArtifactNode) -> Step | None:
        """Returns the step that made an artifact, as its own statement tells it; None without one."""
        envelope = self.envelope(artifact)
        if envelope is None:
            return None
        if envelope.digest not in self._parsed:
            self._parsed[envelope.digest] = _step(envelope)
        return self._parsed[envelope.digest]

    def step_of(self, execution: Execution) -> Step | None:
        """Returns the step that an execution was, as the statement beside one of its outputs tells it."""
        if execution.id not in self._steps:
            outputs = (self.everything.artifacts[id_] for id_ in execution.all_outputs())
            self._steps[execution.id] = next((step for output in outputs if (step := self.step(output))), None)
        return self._steps[execution.id]

    def json_of(self, artifact: ArtifactNode, name: str) -> Any:
        """Returns a JSON file of an artifact; None when it is missing or broken."""
        try:
            return json.loads((self.place(artifact) / name).read_text())
        except (OSError, ValueError, RecursionError):
            return None

    def config_of(self, execution: Execution | None) -> Mapping[str, Any] | None:
        """Returns the configuration that a component was started with; None when its record holds none."""
        found = execution.parameters.get("config") if execution else None
        try:
            content = json.loads(found) if isinstance(found, str) else found
        except (ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def inputs(self, execution: Execution, key: str) -> list[ArtifactNode]:
        """Returns the inputs of an execution under a key."""
        return [self.everything.artifacts[id_] for id_ in execution.inputs.get(key, ())]

    def outputs(self, execution: Execution, key: str) -> list[ArtifactNode]:
        """Returns the outputs of an execution under a key."""
        return [self.everything.artifacts[id_] for id_ in execution.outputs.get(key, ())]

    def of_type(self, *types: str) -> list[ArtifactNode]:
        """Returns the audited artifacts of some types, in order of ids."""
        return [node for _, node in sorted(self.records.artifacts.items()) if node.type in types]

    def executions(self, name: str) -> list[Execution]:
        """Returns the audited executions of a component that ran themselves, by the class name of its type."""
        found = (e for _, e in sorted(self.records.executions.items()) if e.is_complete)
        return [execution for execution in found if execution.type.rpartition(".")[2] == name]

    def is_ours(self, artifact: ArtifactNode) -> bool:
        """Whether a component of Slimline made an artifact, by the class path of its execution."""
        maker = self.everything.producers.get(artifact.id)
        return maker is not None and maker.is_complete and maker.type.startswith("slimline.")

    @cached_property
    def recording_runs(self) -> set[str]:
        """The names of the runs in which some step left a statement."""
        recorded = (n for n in self.everything.artifacts.values() if n.properties.get(metadata_keys.STEP_DIGEST))
        return {self.everything.producers[node.id].run for node in recorded if node.id in self.everything.producers}

    @cached_property
    def gates(self) -> list[Execution]:
        """The audited runs of EdgeValidator, found by what they put out."""
        found = (e for _, e in sorted(self.records.executions.items()) if e.is_complete)
        return [
            execution for execution in found if "blessing" in execution.outputs and "evaluation" in execution.outputs
        ]

    @cached_property
    def evaluations(self) -> list[tuple[Execution, Mapping[str, Any]]]:
        """The audited gates with what they wrote in `evaluation.json`, as far as it is there and can be read."""
        found: list[tuple[Execution, Mapping[str, Any]]] = []
        for gate in self.gates:
            for node in self.outputs(gate, "evaluation"):
                content = self.json_of(node, file_names.EVALUATION)
                if not evaluation_problem(content):
                    found.append((gate, content))
        return found

    @cached_property
    def pushes(self) -> list[tuple[Execution, ArtifactNode]]:
        """The audited pushes that happened, each with what it put out."""
        found = []
        for node in self.of_type("PushedModel"):
            maker = self.everything.producers.get(node.id)
            if maker is not None and node.properties.get(metadata_keys.PUSHED):
                found.append((maker, node))
        return found

    def destination(self, pushed: ArtifactNode) -> Path:
        """Returns where a push put the model, as far as it is a place of this machine."""
        return self.everything.place(str(pushed.properties.get(metadata_keys.PUSHED_DESTINATION, "")))

    def _chain(self, artifact: ArtifactNode) -> tuple[Envelope, ...] | str:
        if artifact.id not in self._chains:
            try:
                self._chains[artifact.id] = read_chain(self.place(artifact)) if self.is_there(artifact) else ()
            except ProvenanceError as error:
                self._chains[artifact.id] = error.found
        return self._chains[artifact.id]

    def models(self) -> Iterable[ArtifactNode]:
        """Returns the audited models."""
        return self.of_type(*_MODEL_TYPES)


def _step(envelope: Envelope) -> Step | None:
    try:
        return Step.from_envelope(envelope)
    except ProvenanceError:
        return None


def served_digests(manifest: Manifest) -> dict[str, str]:
    """Returns the digests of a model's serving files by name, whether it is an artifact's folder or a pushed one."""
    prefix = file_names.SERVING_FOLDER + "/"
    entries = manifest.by_path()
    inside = {path.removeprefix(prefix): entry.digest for path, entry in entries.items() if path.startswith(prefix)}
    return inside or {path: entry.digest for path, entry in entries.items()}
