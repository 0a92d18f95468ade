"""Measures again what a gate measured, from the models and the examples that are still there."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from slimline.audit.case import Case
from slimline.audit.findings import Finding, Status
from slimline.audit.snapshot import Execution
from slimline.errors import SlimlineError
from slimline.names import metadata_keys

RULE = "metrics-remeasured"
_SCHEMA_FILE = "schema.pbtxt"
# Batches are summed in another order than Beam's workers did.
_RELATIVE = 1e-6


def metrics_remeasured(case: Case) -> Iterator[Finding]:
    """Runs the original and all candidates on the gate's examples again, and compares every metric.

    It loads TensorFlow and takes as long as the gate did; `--remeasure` asks for it.
    """
    for gate, evaluation in case.evaluations:
        subject = f"{gate.node} {gate.id}"
        try:
            measured = _measure(case, gate)
        except (SlimlineError, OSError, LookupError, ValueError) as error:
            text = f"it can't be measured again: {getattr(error, 'found', error)}"
            yield Finding(RULE, Status.INCONCLUSIVE, subject, text, 0, gate.id)
            continue
        wrong = list(_differences(evaluation, measured))
        text = "; ".join(wrong) or f"all metrics again, on {measured['num_examples']} examples"
        yield Finding(RULE, Status.FAIL if wrong else Status.PASS, subject, text, 0, gate.id)


def _measure(case: Case, gate: Execution) -> dict[str, Any]:
    from slimline.core.evaluation.gates import GateConfig
    from slimline.core.evaluation.use_case import CandidateFile, ValidationRequest, validate_candidates
    from slimline.core.examples.configuration import ExamplesConfig
    from slimline.core.examples.features import load_schema
    from slimline.core.examples.records import list_files

    config = GateConfig.from_json(str(gate.parameters["config"]))
    names = json.loads(str(gate.parameters["candidate_names"]))
    keys = sorted(key for key in gate.inputs if key.startswith("candidate_"))
    (baseline,), (schema,), (examples,) = (case.inputs(gate, key) for key in ("baseline", "schema", "examples"))
    candidates = []
    for name, key in zip(names, keys, strict=True):
        (node,) = case.inputs(gate, key)
        scheme = str(node.properties.get(metadata_keys.SCHEME, ""))
        candidates.append(CandidateFile(name, scheme, case.place(node)))
    request = ValidationRequest(
        baseline=case.place(baseline),
        candidates=candidates,
        files=list_files(str(case.place(examples) / f"Split-{config.split}")),
        config=config,
        schema=load_schema(str(case.place(schema) / _SCHEMA_FILE)),
        data=ExamplesConfig.from_json(str(gate.parameters["data"])),
    )
    measured: dict[str, Any] = validate_candidates(request).to_dict()
    return measured


def _differences(recorded: Mapping[str, Any], measured: dict[str, Any]) -> Iterator[str]:
    if recorded["num_examples"] != measured["num_examples"]:
        yield f"{recorded['num_examples']} examples were recorded, and there are {measured['num_examples']}"
    now = {candidate["name"]: candidate for candidate in measured["candidates"]}
    pairs = [("the original", recorded["baseline"], measured["baseline"])]
    pairs += [(str(c["name"]), c, now.get(c["name"], {"metrics": {}})) for c in recorded["candidates"]]
    for name, before, after in pairs:
        for metric, value in before["metrics"].items():
            again = after["metrics"].get(metric)
            if again is None or not math.isclose(value, again, rel_tol=_RELATIVE, abs_tol=_RELATIVE):
                yield f"{name} was recorded with {metric} {value}, and has {again}"
