"""The gate's decision as an in-toto statement of its own, for policy engines that ask for nothing else."""

import json

from slimline.evidence.collecting import Evidence
from slimline.provenance.envelope import Envelope
from slimline.provenance.statement import STATEMENT_TYPE

PREDICATE_TYPE = "urn:slimline:gate-decision:v1"


def gate_decision(evidence: Evidence) -> Envelope:
    """Returns the statement, unsigned: the blessed files, limits, what was measured, and on what."""
    gate, report = evidence.gate, evidence.report
    examples = gate.input("examples")
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": entry.path, "digest": {"sha256": entry.digest.removeprefix("sha256:")}}
            for entry in evidence.manifest.files
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "decision": "pass",
            "chosen": evidence.evaluation["chosen"],
            "decidedOn": gate.finished,
            "config": evidence.evaluation["config"],
            "confidence": report.get("confidence"),
            "reasons": report["reasons"],
            "metrics": report["metrics"],
            "drop": report["drop"],
            "numExamples": evidence.evaluation["num_examples"],
            "examples": examples.digest if examples else None,
            "provenance": evidence.chain[-1].digest,
        },
    }
    return Envelope(json.dumps(statement, sort_keys=True, separators=(",", ":"), allow_nan=False).encode(), {})
