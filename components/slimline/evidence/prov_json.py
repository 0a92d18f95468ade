"""W3C PROV as PROV-JSON: https://www.w3.org/submissions/prov-json/."""

from typing import Any

from slimline.evidence.collecting import Evidence
from slimline.provenance.statement import ArtifactState

_PREFIX = "slimline"


def prov_document(evidence: Evidence) -> dict[str, Any]:
    """Returns the document: artifacts are entities, steps activities, users agents."""
    document: dict[str, Any] = {
        "prefix": {_PREFIX: "urn:slimline:"},
        **{kind: {} for kind in ("entity", "activity", "agent", "used", "wasGeneratedBy", "wasAssociatedWith")},
    }
    for digest, step in evidence.steps.items():
        activity, agent = _id("step", digest), f"{_PREFIX}:actor-{step.environment.get('actor', 'unknown')}"
        document["activity"][activity] = {
            "prov:startTime": step.started,
            "prov:endTime": step.finished,
            "prov:label": step.node,
        }
        document["agent"][agent] = {"prov:label": str(step.environment.get("actor", "unknown"))}
        document["wasAssociatedWith"][f"_:by-{digest[7:19]}"] = {"prov:activity": activity, "prov:agent": agent}
        for relation, states in (("used", step.inputs), ("wasGeneratedBy", step.outputs)):
            for number, state in enumerate(states):
                entity = _id("artifact", state.digest)
                document["entity"][entity] = _entity(state)
                key = f"_:{relation}-{digest[7:19]}-{number}"
                document[relation][key] = {"prov:activity": activity, "prov:entity": entity}
    return document


def _id(kind: str, digest: str) -> str:
    return f"{_PREFIX}:{kind}-{digest.removeprefix('sha256:')}"


def _entity(state: ArtifactState) -> dict[str, Any]:
    return {"prov:label": state.type, "prov:location": state.uri, f"{_PREFIX}:size_bytes": state.size_bytes}
