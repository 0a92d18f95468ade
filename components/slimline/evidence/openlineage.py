"""Events of OpenLineage, one a step: https://openlineage.io/spec/2-0-2/OpenLineage.json."""

import uuid
from typing import Any

from slimline.evidence.collecting import Evidence
from slimline.provenance.statement import ArtifactState, Step

_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACET_SCHEMA = "urn:slimline:openlineage-digest:v1"
_NAMESPACE = uuid.UUID("8d2b0f0e-52b5-5c0e-9f0a-1f6a3d6f6f0d")


def lineage_events(evidence: Evidence) -> list[dict[str, Any]]:
    """Returns a COMPLETE event for each step, in their order; made again, they have the same ids."""
    return [_event(digest, step) for digest, step in evidence.steps.items()]


def _event(digest: str, step: Step) -> dict[str, Any]:
    return {
        "eventType": "COMPLETE",
        "eventTime": step.finished,
        "producer": "urn:slimline:executor",
        "schemaURL": _SCHEMA,
        "run": {"runId": str(uuid.uuid5(_NAMESPACE, digest)), "facets": {}},
        "job": {"namespace": "slimline", "name": step.node or step.component, "facets": {}},
        "inputs": [_data_set(state) for state in step.inputs],
        "outputs": [_data_set(state) for state in step.outputs],
    }


def _data_set(state: ArtifactState) -> dict[str, Any]:
    facet = {
        "_producer": "urn:slimline:executor",
        "_schemaURL": _FACET_SCHEMA,
        "digest": state.digest,
        "type": state.type,
        "sizeBytes": state.size_bytes,
    }
    return {"namespace": "file", "name": state.uri, "facets": {"slimline_digest": facet}}
