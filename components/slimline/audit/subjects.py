"""What is audited: a model, wherever it lies, or all that a store holds."""

from dataclasses import dataclass
from pathlib import Path

from slimline.audit.case import served_digests
from slimline.audit.findings import Finding, Status
from slimline.audit.snapshot import Snapshot
from slimline.core.tflite.provenance import read_provenance_id
from slimline.lineage.find import tflite_in
from slimline.lineage.records import ArtifactNode
from slimline.names import file_names, metadata_keys
from slimline.provenance.manifest import manifest_of

RULE = "known-to-the-store"


@dataclass(frozen=True)
class Subject:
    """What is audited.

    Attributes:
      title: For people.
      records: The part of the store that it is about.
      findings: What is known already: whether the store knows it.
    """

    title: str
    records: Snapshot
    findings: tuple[Finding, ...] = ()


def everything(records: Snapshot, title: str) -> Subject:
    """Takes all runs of a store."""
    return Subject(title, records)


def model_at(records: Snapshot, path: Path) -> Subject:
    """Takes a model's file or folder, all that led to it, and its way through the gate.

    It is known by the digest that was recorded when it was made. Where the bytes were changed since, it is known by
    its place, and that is a finding.
    """
    digest = served_digests(manifest_of(path)).get(path.name if path.is_file() else file_names.TFLITE, "")
    matched = [
        node
        for node in records.artifacts.values()
        if node.type == "Model" and digest and node.properties.get(metadata_keys.CONTENT_DIGEST) == digest
    ]
    if matched:
        found = Finding(RULE, Status.PASS, str(path), f"its bytes are those of Model {matched[-1].id}", matched[-1].id)
    else:
        at_place = _at_place(records, path)
        matched = at_place or _by_provenance_id(records, path)
        found = _unknown(path, digest, matched, is_at_place=bool(at_place))
    return Subject(str(path), records.restricted(_executions(records, matched)), (found,))


def _unknown(path: Path, digest: str, matched: list[ArtifactNode], *, is_at_place: bool) -> Finding:
    if matched:
        which = f"{matched[-1].type} {matched[-1].id}"
        how = f"{which} was written there" if is_at_place else f"it holds the id of {which}"
        text = f"{how}, which was recorded with other bytes than {digest or 'these'}"
        return Finding(RULE, Status.FAIL, str(path), text, matched[-1].id)
    return Finding(RULE, Status.FAIL, str(path), f"no recorded run made {digest or 'it'}, or wrote to this place")


def _by_provenance_id(records: Snapshot, path: Path) -> list[ArtifactNode]:
    """Returns the artifacts that a file says it is: whoever changed it left the id in it."""
    file = tflite_in(path)
    stamped = read_provenance_id(file.read_bytes()) if file else None
    nodes = records.artifacts.values()
    return [node for node in nodes if stamped and node.properties.get(metadata_keys.PROVENANCE_ID) == stamped]


def _at_place(records: Snapshot, path: Path) -> list[ArtifactNode]:
    """Returns the artifacts that were written where `path` is, or above it."""
    places = {path.resolve(), *list(path.resolve().parents)[:2]}
    found = []
    for node in records.artifacts.values():
        uris = (node.uri, str(node.properties.get(metadata_keys.PUSHED_DESTINATION, "")))
        if any(uri and records.place(uri).resolve() in places for uri in uris):
            found.append(node)
    return found


def _executions(records: Snapshot, matched: list[ArtifactNode]) -> set[int]:
    """Returns who made the artifacts, who judged them, who pushed them, and all that those build on."""
    wanted = {node.id for node in matched}
    waiting = list(matched)
    while waiting:
        node = waiting.pop()
        for execution in records.consumers.get(node.id, ()):
            for id_ in execution.all_outputs():
                child = records.artifacts[id_]
                if id_ not in wanted and _is_the_same(child, matched):
                    wanted.add(id_)
                    waiting.append(child)
    return records.upstream(wanted)


def _is_the_same(child: ArtifactNode, matched: list[ArtifactNode]) -> bool:
    """Whether an artifact is a push, or speaks of one of the models."""
    digests = {node.properties.get(metadata_keys.CONTENT_DIGEST) for node in matched}
    return child.type == "PushedModel" or child.properties.get(metadata_keys.CONTENT_DIGEST) in digests - {None, ""}
