"""Rules on the ledger, which tells of steps whose rows and files were both removed."""

from collections.abc import Iterator

from slimline.audit.case import Case
from slimline.audit.findings import Finding, Status
from slimline.names import metadata_keys


def ledger_is_whole(case: Case) -> Iterator[Finding]:
    """Looks whether each line follows from the one before, and whether the noted one is among them."""
    rule = "ledger-is-whole"
    if case.ledger is None:
        return
    ledger, anchor = case.ledger, case.anchor
    if ledger.problem:
        yield Finding(rule, Status.FAIL, "ledger", ledger.problem)
    elif anchor and anchor not in {entry.digest for entry in ledger.entries}:
        yield Finding(rule, Status.FAIL, "ledger", f"no line has the digest {anchor}: it was written anew")
    else:
        text = f"{len(ledger.entries)} steps, each bound to the one before; the last line is {ledger.head}"
        yield Finding(rule, Status.PASS, "ledger", text)


def steps_in_ledger(case: Case) -> Iterator[Finding]:
    """Compares the steps of the ledger with those of the store, both ways."""
    rule = "steps-in-ledger"
    if case.ledger is None:
        return
    entries = case.ledger.entries
    stored = {node.properties.get(metadata_keys.STEP_DIGEST) for node in case.everything.artifacts.values()}
    for entry in entries:
        if entry.step not in stored:
            text = f"it ran in {entry.run or 'a run'} until {entry.finished}, and the store knows nothing of it"
            yield Finding(rule, Status.FAIL, f"{entry.node} (line {entry.number})", text)
    listed = {entry.step for entry in entries}
    began = entries[0].finished if entries else ""
    for execution in case.records.executions.values():
        outputs = (case.everything.artifacts[id_] for id_ in execution.all_outputs())
        digests = {str(d) for node in outputs if (d := node.properties.get(metadata_keys.STEP_DIGEST))}
        if not digests or not execution.is_complete:
            continue
        subject = f"{execution.node} {execution.id}"
        step = case.step_of(execution)
        if digests <= listed:
            yield Finding(rule, Status.PASS, subject, "the ledger has its step", 0, execution.id)
        elif step is not None and began and step.finished < began:
            text = "it ran before the ledger was begun"
            yield Finding(rule, Status.NOT_RECORDED, subject, text, 0, execution.id)
        else:
            yield Finding(rule, Status.FAIL, subject, "the ledger has no such step", 0, execution.id)
