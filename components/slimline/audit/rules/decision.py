"""Rules on the verdict: limits fixed beforehand, each one judged, and the decision that follows from the bounds."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from slimline.audit.case import Case
from slimline.audit.findings import Finding, Status
from slimline.audit.snapshot import Execution
from slimline.core.evaluation.statistics.selection import adjust
from slimline.names import file_names, metadata_keys

# What a reader of the JSON may lose, and no more.
_TOLERANCE = 1e-9
_LIMITS = {"max_drop": "drop", "max_relative_drop": "relative drop", "min_value": "", "max_value": ""}


def evaluation_is_there(case: Case) -> Iterator[Finding]:
    """Looks for the evaluation of each gate, on which the rules about its decision stand."""
    rule = "evaluation-is-there"
    found = {gate.id for gate, _ in case.evaluations}
    for gate in case.gates:
        status, text = Status.PASS, "its evaluation.json can be read"
        if gate.id not in found:
            status, text = Status.INCONCLUSIVE, "its evaluation.json is missing or broken: its decision can't be judged"
        yield Finding(rule, status, f"{gate.node} {gate.id}", text, 0, gate.id)


def limits_fixed_before(case: Case) -> Iterator[Finding]:
    """Compares the limits of each evaluation with those that its execution was started with."""
    rule = "limits-fixed-before"
    for gate, evaluation in case.evaluations:
        subject = f"{gate.node} {gate.id}"
        asked = case.config_of(gate)
        step = case.step_of(gate)
        if asked is None:
            yield Finding(rule, Status.INCONCLUSIVE, subject, "its parameters are missing", 0, gate.id)
            continue
        stated = step.parameters.get("config") if step else None
        if evaluation.get("config") != asked:
            text = f"judged by {_changed(asked, evaluation.get('config'))}; the execution was started with other limits"
            yield Finding(rule, Status.FAIL, subject, text, 0, gate.id)
        elif step is not None and stated != asked:
            text = f"the store's limits are not those of the step: {_changed(stated, asked)}"
            yield Finding(rule, Status.FAIL, subject, text, 0, gate.id)
        else:
            status = Status.PASS if step else Status.NOT_RECORDED
            text = (
                "judged by the limits that it was started with" if step else "the step left no statement of its limits"
            )
            yield Finding(rule, status, subject, text, 0, gate.id)


def decision_recomputed(case: Case) -> Iterator[Finding]:
    """Judges every recorded bound by its limit again, and chooses again."""
    rule = "decision-recomputed"
    for gate, evaluation in case.evaluations:
        subject = f"{gate.node} {gate.id}"
        try:
            wrong = list(_contradictions(evaluation))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            wrong = [f"the evaluation lacks {error}"]
        text = "; ".join(wrong) or f"chosen {evaluation['chosen'] or 'none'}: so it follows from bounds and limits"
        yield Finding(rule, Status.FAIL if wrong else Status.PASS, subject, text, 0, gate.id)


def evaluation_as_recorded(case: Case) -> Iterator[Finding]:
    """Compares decision, choice and figures in the store with evaluation.json."""
    rule = "evaluation-as-recorded"
    for gate, evaluation in case.evaluations:
        subject = f"{gate.node} {gate.id}"
        wrong = list(_store_differences(case, gate, evaluation))
        status = Status.FAIL if wrong else Status.PASS
        yield Finding(rule, status, subject, "; ".join(wrong) or "the store says the same", 0, gate.id)


def _contradictions(evaluation: Mapping[str, Any]) -> Iterator[str]:
    config, candidates = evaluation["config"], evaluation["candidates"]
    p_values = {}
    for candidate in candidates:
        verdicts = candidate["verdicts"]
        yield from (f"{candidate['name']}: {text}" for text in _misjudged(verdicts))
        if verdicts and candidate["verdict"] != "error":
            yield from (f"{candidate['name']}: {text}" for text in _unjudged(config, verdicts, candidate))
        known = [verdict["p_value"] for verdict in verdicts if verdict.get("p_value") is not None]
        without_chance = [v for v in verdicts if v.get("p_value") is None and v["outcome"] == "fail"]
        if known and not without_chance:
            p_values[candidate["name"]] = max(known)
    confidences = {name: 1 - p for name, p in adjust(p_values).items()}
    for candidate in candidates:
        name, told = candidate["name"], candidate.get("confidence")
        if told is not None and name in confidences and abs(told - confidences[name]) > 1e-6:
            yield f"{name} has the confidence {told:.6g}, and {confidences[name]:.6g} follows from its limits"
        if candidate["verdict"] == "pass":
            failed = [v["text"] for v in candidate["verdicts"] if v["outcome"] == "fail"]
            yield from (f"{name} passed in spite of: {text}" for text in failed)
            if confidences.get(name, 1.0) < config["confidence"] - _TOLERANCE:
                yield f"{name} passed with the confidence {confidences[name]:.4g}, below {config['confidence']}"
    yield from _wrong_choice(evaluation)


def _misjudged(verdicts: list[Mapping[str, Any]]) -> Iterator[str]:
    for verdict in verdicts:
        if verdict["outcome"] != "pass":
            continue
        bound = verdict["upper"] if verdict["is_upper"] else verdict["lower"]
        # Bytes and targets have no chance in them: the value itself has to keep the limit.
        bound = bound if bound is not None else verdict["value"]
        # JSON has no infinity, which is what a lossless copy reaches in decibels.
        if bound is None:
            continue
        beyond = bound - verdict["limit"] if verdict["is_upper"] else verdict["limit"] - bound
        # What is asked is the limit at the confidence of the gate: a p-value above 0.5 can't be a pass at any.
        if not beyond <= _TOLERANCE:
            yield f"passed, and its bound {bound:.6g} is beyond the limit {verdict['limit']:.6g} ({verdict['subject']})"


def _unjudged(
    config: Mapping[str, Any], verdicts: list[Mapping[str, Any]], candidate: Mapping[str, Any]
) -> Iterator[str]:
    """Finds thresholds of the configuration that no verdict is about; a candidate with errors has none at all."""
    if candidate["verdict"] not in ("pass", "fail"):
        return
    limits = [(verdict["subject"], verdict["limit"]) for verdict in verdicts]
    for threshold in config["thresholds"]:
        for option in _LIMITS:
            limit = threshold.get(option)
            about = [found for subject, found in limits if str(threshold["metric"]) in subject]
            if limit is not None and not any(math.isclose(found, limit, rel_tol=1e-9) for found in about):
                yield f"no verdict on {option} {limit} of {threshold['metric']}"


def _wrong_choice(evaluation: Mapping[str, Any]) -> Iterator[str]:
    passed = [candidate for candidate in evaluation["candidates"] if candidate["verdict"] == "pass"]
    chosen = evaluation["chosen"]
    names = [candidate["name"] for candidate in passed]
    if (chosen is None) != (not passed):
        yield f"chosen {chosen or 'none'}, and {', '.join(names) or 'none'} passed"
    elif chosen is not None and chosen not in names:
        yield f"{chosen} was chosen, which did not pass"
    elif chosen is not None and evaluation["config"]["goal"] == "smallest":
        best = min(passed, key=lambda candidate: (candidate["gzip_bytes"], candidate["name"]))
        if best["name"] != chosen:
            yield f"{chosen} was chosen as smallest, and {best['name']} is"


def _store_differences(case: Case, gate: Execution, evaluation: Mapping[str, Any]) -> Iterator[str]:
    for node in case.outputs(gate, "evaluation"):
        told = {
            metadata_keys.CHOSEN: evaluation.get("chosen") or "",
            metadata_keys.DECISION: _decision(evaluation),
        }
        baseline = evaluation.get("baseline", {}).get("metrics", {})
        told.update({metadata_keys.BASELINE_PREFIX + name: repr(float(value)) for name, value in baseline.items()})
        yield from _differences(node.properties, told, "evaluation")
        entry = case.manifest(node).by_path().get(file_names.EVALUATION)
        if entry is not None and node.properties.get(metadata_keys.CONTENT_DIGEST) != entry.digest:
            yield f"evaluation.json has the digest {entry.digest}; recorded is {node.properties.get('content_digest')}"
    chosen = evaluation.get("chosen")
    report = next((c for c in evaluation["candidates"] if c.get("name") == chosen), None) if chosen else None
    if report is None:
        return
    for key in ("blessed_model", "blessing"):
        for node in case.outputs(gate, key):
            told = {metadata_keys.CHOSEN: chosen}
            told.update({metadata_keys.METRIC_PREFIX + k: repr(float(v)) for k, v in report["metrics"].items()})
            told.update({metadata_keys.DROP_PREFIX + k: repr(float(v)) for k, v in report["drop"].items()})
            yield from _differences(node.properties, told, key)


def _decision(evaluation: Mapping[str, Any]) -> str:
    if evaluation.get("chosen"):
        return "pass"
    is_undecided = any(candidate.get("verdict") == "undecided" for candidate in evaluation["candidates"])
    return "undecided" if is_undecided else "fail"


def _differences(properties: Mapping[str, Any], told: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, value in told.items():
        found = properties.get(name, "")
        if found != value:
            yield f"{where}: {name} is {found!r} in the store, {value!r} in evaluation.json"


def _changed(before: Any, now: Any) -> str:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return "something else"
    return ", ".join(
        f"{k} = {now.get(k)!r}, not {before.get(k)!r}" for k in {**before, **now} if before.get(k) != now.get(k)
    )
