"""Runs all rules on a case."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from slimline.audit.case import Case
from slimline.audit.findings import Finding, Status, count_statuses
from slimline.audit.rules import completeness, content, decision, gate, ledger, origins, sampling
from slimline.audit.snapshot import paused_collection

Rule: TypeAlias = Callable[[Case], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    gate.pushed_through_gate,
    gate.pushed_is_blessed,
    gate.nothing_beside_pushes,
    gate.blessed_is_measured,
    decision.evaluation_is_there,
    decision.limits_fixed_before,
    decision.decision_recomputed,
    decision.evaluation_as_recorded,
    content.bytes_as_recorded,
    content.statements_as_recorded,
    content.inputs_at_use,
    content.properties_as_stated,
    content.signatures,
    sampling.sample_rederived,
    sampling.sample_apart,
    origins.provenance_id_rederived,
    origins.versions_known,
    origins.code_as_checkout,
    origins.policy_kept,
    completeness.rows_are_whole,
    completeness.events_as_stated,
    completeness.runs_have_ended,
    completeness.times_in_order,
    ledger.ledger_is_whole,
    ledger.steps_in_ledger,
)
_ORDER = (Status.FAIL, Status.INCONCLUSIVE, Status.WARN, Status.NOT_RECORDED, Status.PASS)


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Attributes:
      subject: What was audited.
      findings: The worst first.
    """

    subject: str
    findings: tuple[Finding, ...]

    def is_clean(self, *, strict: bool) -> bool:
        """Says whether nothing speaks against the subject; when strict, whether everything could be decided too."""
        bad = {Status.FAIL, Status.INCONCLUSIVE} if strict else {Status.FAIL}
        return not any(finding.status in bad for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {
            "subject": self.subject,
            "counts": count_statuses(self.findings),
            "findings": [finding.to_dict() for finding in self.findings],
        }


def run_audit(case: Case, subject: str, rules: Iterable[Rule] = RULES) -> AuditResult:
    """Applies rules to a case."""
    with paused_collection():
        findings = [finding for rule in rules for finding in rule(case)]
    ordered = sorted(findings, key=lambda f: (_ORDER.index(f.status), f.rule, f.artifact_id, f.execution_id))
    return AuditResult(subject, tuple(ordered))
