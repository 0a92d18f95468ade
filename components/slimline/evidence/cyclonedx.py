"""A machine-learning bill of materials: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/.

The pedigree goes from the edge model up to the float original; data sets and packages are components.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from slimline.evidence.collecting import Evidence
from slimline.provenance.statement import ArtifactState, Step

_NAMESPACE = uuid.UUID("8d2b0f0e-52b5-5c0e-9f0a-1f6a3d6f6f0d")


def bill_of_materials(evidence: Evidence) -> dict[str, Any]:
    """Returns the document."""
    gate, report = evidence.gate, evidence.report
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, evidence.chain[-1].digest)}",
        "version": 1,
        "metadata": {
            "timestamp": gate.finished,
            "tools": {"components": [_package("slimline", str(_versions(gate).get("slimline", "")))]},
            "component": {
                "type": "machine-learning-model",
                "bom-ref": evidence.digest,
                "name": str(evidence.evaluation["chosen"]),
                "hashes": [_hash(evidence.digest)],
                "pedigree": {"ancestors": list(_ancestors(evidence))},
                "modelCard": _card(evidence),
                "properties": [
                    {"name": "slimline:scheme", "value": str(report["scheme"])},
                    {"name": "slimline:run", "value": gate.run},
                    {"name": "slimline:size_bytes", "value": str(report["size_bytes"])},
                    {"name": "slimline:gzip_bytes", "value": str(report["gzip_bytes"])},
                ],
            },
        },
        "components": [*_data_sets(evidence), *_packages(evidence)],
    }


def _versions(step: Step) -> Mapping[str, Any]:
    versions: Mapping[str, Any] = step.environment.get("versions", {})
    return versions


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}


def _ancestors(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Yields the models that the blessed one was made of, the latest first."""
    chosen = evidence.digest
    step = evidence.gate
    state = next((s for s in step.inputs if any(entry.digest == chosen for entry in s.files)), None)
    while state is not None:
        yield {"type": "machine-learning-model", "name": _name(evidence, state), "hashes": [_hash(state.digest)]}
        maker = evidence.steps.get(state.step)
        state = maker.input("model") if maker else None


def _name(evidence: Evidence, state: ArtifactState) -> str:
    maker = evidence.steps.get(state.step)
    return f"{maker.node} {state.digest[7:19]}" if maker else f"original {state.digest[7:19]}"


def _card(evidence: Evidence) -> dict[str, Any]:
    task = evidence.evaluation.get("task")
    return {
        "modelParameters": {
            **({"task": str(task)} if task else {}),
            "datasets": [{"ref": data["bom-ref"]} for data in _data_sets(evidence)],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(evidence.report))},
    }


def _metrics(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for slice_name, metrics in report["slices"].items():
        for name, figures in metrics.items():
            yield {"type": name, "value": repr(figures["value"]), "slice": slice_name}
            interval = {
                f"{side}Bound": repr(figures[side]) for side in ("lower", "upper") if figures.get(side) is not None
            }
            if figures.get("drop") is not None:
                drop = {"type": f"{name} drop", "value": repr(figures["drop"]), "slice": slice_name}
                yield {**drop, **({"confidenceInterval": interval} if interval else {})}


def _data_sets(evidence: Evidence) -> list[dict[str, Any]]:
    found = {
        state.digest: state
        for step in evidence.steps.values()
        for state in step.inputs
        if state.key in ("examples", "calibration")
    }
    return [
        {"type": "data", "bom-ref": digest, "name": f"{state.key} {digest[7:19]}", "hashes": [_hash(digest)]}
        for digest, state in sorted(found.items())
    ]


def _packages(evidence: Evidence) -> list[dict[str, Any]]:
    found = sorted({item for step in evidence.steps.values() for item in _versions(step).items()})
    return [_package(name, str(version)) for name, version in found]


def _package(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
