"""Rules on where files come from: ids inside them, versions and code of the steps, and the auditor's policy."""

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

from slimline.audit.case import Case
from slimline.audit.findings import Finding, Status
from slimline.audit.policy import Policy
from slimline.core.tflite.provenance import read_provenance_id
from slimline.lineage.records import ArtifactNode
from slimline.names import file_names, metadata_keys
from slimline.provenance.environment import code_digest
from slimline.provenance.statement import Step


def provenance_id_rederived(case: Case) -> Iterator[Finding]:
    """Derives the id inside each `.tflite` file from what its report says that it was made of."""
    rule = "provenance-id-rederived"
    for node in case.of_type("Model"):
        recorded = node.properties.get(metadata_keys.PROVENANCE_ID)
        if not recorded:
            continue
        subject = case.describe(node)
        if not case.is_there(node):
            yield Finding(rule, Status.INCONCLUSIVE, subject, f"its folder {node.uri} is gone", node.id)
            continue
        serving = case.place(node) / file_names.SERVING_FOLDER
        report = case.json_of(node, f"{file_names.SERVING_FOLDER}/{file_names.QUANTIZATION_REPORT}") or case.json_of(
            node, file_names.QUANTIZATION_REPORT
        )
        try:
            stamped = read_provenance_id((serving / file_names.TFLITE).read_bytes())
        except (OSError, ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
            yield Finding(rule, Status.INCONCLUSIVE, subject, f"its file can't be read: {error}", node.id)
            continue
        wrong = _provenance_problems(node, report, recorded, stamped)
        yield Finding(rule, Status.FAIL if wrong else Status.PASS, subject, wrong or str(recorded), node.id)


def versions_known(case: Case) -> Iterator[Finding]:
    """Looks whether the steps of each run were made by the same versions, and whether they are recorded."""
    rule = "versions-known"
    by_run: dict[str, dict[str, list[str]]] = {}
    for execution in case.records.executions.values():
        step = case.step_of(execution) if execution.is_complete else None
        if step is not None:
            digest = str(step.environment.get("packages_digest", ""))
            by_run.setdefault(execution.run, {}).setdefault(digest, []).append(step.node)
    for run, digests in sorted(by_run.items()):
        if len(digests) > 1:
            text = "its steps ran with different packages: " + "; ".join(", ".join(nodes) for nodes in digests.values())
            yield Finding(rule, Status.WARN, f"run {run}", text)
        else:
            yield Finding(rule, Status.PASS, f"run {run}", "all steps with the same packages")
    if not by_run:
        yield Finding(rule, Status.NOT_RECORDED, "store", "no step recorded its versions")


def code_as_checkout(case: Case) -> Iterator[Finding]:
    """Compares Slimline's own code at each step with that of a checkout."""
    rule = "code-as-checkout"
    if case.checkout is None:
        return
    package = case.checkout / "components" / "slimline"
    digest = code_digest(package if package.is_dir() else case.checkout)
    for execution in case.records.executions.values():
        step = case.step_of(execution) if execution.is_complete else None
        if step is None:
            continue
        found = step.environment.get("code_digest")
        subject = f"{execution.node} {execution.id}"
        text = f"its code had the digest {found}; the checkout's is {digest}"
        status = Status.PASS if found == digest else Status.FAIL
        yield Finding(rule, status, subject, text, 0, execution.id)


def policy_kept(case: Case) -> Iterator[Finding]:
    """Holds the audited models and gates against the auditor's policy."""
    rule = "policy-kept"
    if case.policy is None:
        return
    wrong = [
        *_scheme_problems(case, case.policy),
        *_calibration_problems(case, case.policy),
        *_gate_problems(case, case.policy),
        *_step_problems(case, case.policy),
    ]
    for subject, text in wrong:
        yield Finding(rule, Status.FAIL, subject, text)
    if not wrong:
        yield Finding(rule, Status.PASS, "policy", "every demand is met")


def _provenance_problems(node: ArtifactNode, report: Any, recorded: str, stamped: str | None) -> str:
    if stamped != recorded:
        return f"the file holds the id {stamped}, and {recorded} is recorded"
    origin = report.get("provenance") if isinstance(report, dict) else None
    if not isinstance(origin, dict):
        return "the report beside it does not say what it was made of"
    parts = {key: value for key, value in origin.items() if key != "provenance_id"}
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    derived = "slimline-" + hashlib.sha256(canonical.encode()).hexdigest()[:32]
    if derived != recorded:
        return f"{derived} follows from its report, and {recorded} is recorded"
    source = node.properties.get(metadata_keys.SOURCE_DIGEST)
    return (
        ""
        if parts.get("source_digest") == source
        else f"the report names the source {parts.get('source_digest')}, not {source}"
    )


def _scheme_problems(case: Case, policy: Policy) -> Iterator[tuple[str, str]]:
    for push, _ in case.pushes:
        for model in case.inputs(push, "model"):
            scheme = model.properties.get(metadata_keys.SCHEME)
            if policy.schemes is not None and scheme not in policy.schemes:
                yield case.describe(model), f"its scheme is {scheme}, not one of {', '.join(policy.schemes)}"


def _calibration_problems(case: Case, policy: Policy) -> Iterator[tuple[str, str]]:
    wanted = policy.min_calibration_records
    if wanted is None:
        return
    for node in case.of_type(metadata_keys.CALIBRATION_DATASET_TYPE):
        number = _number(node.properties.get(metadata_keys.NUM_RECORDS))
        if number is None or number < wanted:
            yield case.describe(node), f"{number or 'no'} records, fewer than {wanted}"


def _gate_problems(case: Case, policy: Policy) -> Iterator[tuple[str, str]]:
    evaluations = {gate.id: evaluation for gate, evaluation in case.evaluations}
    for gate in case.gates:
        evaluation = evaluations.get(gate.id)
        config = evaluation["config"] if evaluation else case.config_of(gate) or {}
        subject = f"{gate.node} {gate.id}"
        confidence = _number(config.get("confidence"))
        if policy.min_confidence is not None and (confidence is None or confidence < policy.min_confidence):
            yield subject, f"its confidence is {config.get('confidence')}, below {policy.min_confidence}"
        asked = config.get("thresholds")
        thresholds = [t for t in asked if isinstance(t, dict)] if isinstance(asked, list) else []
        for metric, largest in policy.max_drop.items():
            drops = [_number(t.get("max_drop")) for t in thresholds if t.get("metric") == metric]
            known = [drop for drop in drops if drop is not None]
            if not known:
                yield subject, f"it limits no drop of {metric}"
            elif min(known) > largest:
                yield subject, f"it allows {metric} to drop by {min(known)}, more than {largest}"


def _step_problems(case: Case, policy: Policy) -> Iterator[tuple[str, str]]:
    for execution in case.records.executions.values():
        step = case.step_of(execution) if execution.is_complete else None
        if step is not None:
            yield from ((f"{execution.node} {execution.id}", text) for text in _environment_problems(step, policy))


def _environment_problems(step: Step, policy: Policy) -> Iterator[str]:
    versions = step.environment.get("versions", {})
    for package, allowed in policy.versions.items():
        if versions.get(package) not in allowed:
            yield f"it ran with {package} {versions.get(package)}, not one of {', '.join(allowed)}"
    source = step.environment.get("source", {})
    if policy.require_clean_source and (not source.get("commit") or source.get("is_dirty")):
        yield "its source was changed after the commit" if source.get("commit") else "no commit of its source is known"


def _number(value: Any) -> float | None:
    """Returns a value of a record that anybody may have written, if it is a number."""
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None
