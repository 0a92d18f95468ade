"""From the verdicts on single limits to that on a candidate, alone and as one of several to choose from."""

from collections.abc import Sequence
from dataclasses import replace

from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.judging import Verdict
from slimline.core.evaluation.reports import CandidateReport, Decision
from slimline.core.evaluation.statistics.selection import adjust


def count_the_choice(reports: Sequence[CandidateReport], config: GateConfig) -> list[CandidateReport]:
    """Corrects each candidate's confidence for there being several to choose from.

    Candidates that broke a limit without chance can't be chosen, and do not count.
    """
    if config.confidence is None:
        return list(reports)
    p_values = {
        report.name: max(verdict.p_value for verdict in report.verdicts if verdict.p_value is not None)
        for report in reports
        if any(verdict.p_value is not None for verdict in report.verdicts)
        and not any(verdict.outcome == "fail" and verdict.p_value is None for verdict in report.verdicts)
    }
    adjusted = adjust(p_values)
    corrected = []
    for report in reports:
        if report.name in adjusted:
            report = replace(report, confidence=1 - adjusted[report.name])
            if report.verdict == "pass" and adjusted[report.name] > 1 - config.confidence + 1e-12:
                report = _undecided(report, p_values[report.name], len(p_values), config)
        corrected.append(report)
    return corrected


def _undecided(report: CandidateReport, p_value: float, num_candidates: int, config: GateConfig) -> CandidateReport:
    assert config.confidence is not None
    if config.undecided == "bless":
        return report
    reason = (
        f"alone it would keep its limits with {100 * (1 - p_value):.4g}% confidence, chosen among {num_candidates} "
        f"candidates with {100 * (report.confidence or 0):.4g}%, and {100 * config.confidence:.4g}% are asked for: "
        "fresh examples or fewer candidates would decide"
    )
    return replace(report, verdict="undecided", reasons=(reason,))


def decide(verdicts: Sequence[Verdict], config: GateConfig) -> Decision:
    """Returns what the verdicts on all limits of a candidate make together."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if "fail" in outcomes:
        return "fail"
    return "undecided" if "undecided" in outcomes and config.undecided == "refuse" else "pass"


def reasons(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Returns the limits that are missed, as sentences; those that are kept when none is."""
    # What is broken first: no further examples would mend that.
    missed = tuple(
        verdict.text for outcome in ("fail", "undecided") for verdict in verdicts if verdict.outcome == outcome
    )
    return missed or tuple(verdict.text for verdict in verdicts if verdict.outcome == "pass")
