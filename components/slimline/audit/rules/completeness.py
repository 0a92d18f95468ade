"""Rules on the store's own rows: what is missing, never ended, or out of order."""

from collections.abc import Iterator
from datetime import datetime

from slimline.audit.case import Case
from slimline.audit.findings import Finding, Status
from slimline.names import metadata_keys

# Clocks of two machines, and the rounding of milliseconds.
_CLOCK_MS = 2_000
_ENDED_STATES = ("COMPLETE", "CACHED", "FAILED", "CANCELED")


def rows_are_whole(case: Case) -> Iterator[Finding]:
    """Finds rows that name others which are gone."""
    rule = "rows-are-whole"
    for text in case.everything.dangling:
        yield Finding(rule, Status.FAIL, "store", f"{text}, which is not in the store")
    for node in case.records.artifacts.values():
        maker = case.everything.producers.get(node.id)
        if maker is None and metadata_keys.STEP_DIGEST in node.properties:
            text = "a step of a pipeline made it, and no execution in the store did"
            yield Finding(rule, Status.FAIL, case.describe(node), text, node.id)
    if not case.everything.dangling:
        yield Finding(rule, Status.PASS, "store", "every event has its artifact and its execution")


def events_as_stated(case: Case) -> Iterator[Finding]:
    """Compares the inputs of each execution with those that its step says it used."""
    rule = "events-as-stated"
    for execution in case.records.executions.values():
        step = case.step_of(execution) if execution.is_complete else None
        if step is None:
            continue
        used = {(state.key, state.artifact_id) for state in step.inputs}
        recorded = {(key, id_) for key, ids in execution.inputs.items() for id_ in ids}
        subject = f"{execution.node} {execution.id}"
        missing = ", ".join(f"{key} {id_}" for key, id_ in sorted(used - recorded))
        added = ", ".join(f"{key} {id_}" for key, id_ in sorted(recorded - used))
        if missing or added:
            text = "; ".join(
                part
                for part in (
                    f"it used {missing}, of which the store has no event" if missing else "",
                    f"the store has events of {added}, which it did not use" if added else "",
                )
                if part
            )
            yield Finding(rule, Status.FAIL, subject, text, 0, execution.id)
        else:
            yield Finding(rule, Status.PASS, subject, f"{len(used)} inputs as it used them", 0, execution.id)


def runs_have_ended(case: Case) -> Iterator[Finding]:
    """Finds executions that never came to an end, as of a run that was killed, and those that failed."""
    rule = "runs-have-ended"
    for execution in case.records.executions.values():
        subject = f"{execution.node} {execution.id}"
        if execution.state not in _ENDED_STATES:
            text = f"its state is {execution.state}: it still runs, or its process was killed"
            yield Finding(rule, Status.WARN, subject, text, 0, execution.id)
        elif execution.state in ("FAILED", "CANCELED"):
            yield Finding(rule, Status.WARN, subject, f"it ended as {execution.state}", 0, execution.id)


def times_in_order(case: Case) -> Iterator[Finding]:
    """Compares the times of each step with those of its record, of its inputs' makers, and of its outputs' rows."""
    rule = "times-in-order"
    for execution in case.records.executions.values():
        if not execution.is_complete:
            continue
        subject = f"{execution.node} {execution.id}"
        wrong = []
        step = case.step_of(execution)
        if step is not None:
            started, finished = _ms(step.started), _ms(step.finished)
            if not execution.created_ms - _CLOCK_MS <= started <= finished <= execution.updated_ms + _CLOCK_MS:
                wrong.append(f"the step says {step.started} to {step.finished}, which the store's times do not enclose")
        for id_ in execution.all_inputs():
            maker = case.everything.producers.get(id_)
            if maker is not None and maker.is_complete and maker.updated_ms > execution.created_ms + _CLOCK_MS:
                wrong.append(f"its input {id_} was finished after it began")
        wrong += [
            f"the row of its output {id_} was changed after it ended"
            for id_ in execution.all_outputs()
            if case.everything.updated_ms.get(id_, 0) > execution.updated_ms + _CLOCK_MS
        ]
        status = Status.FAIL if wrong else Status.PASS
        yield Finding(rule, status, subject, "; ".join(wrong) or "in order", 0, execution.id)


def _ms(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp() * 1e3
    except ValueError:
        return -1.0
