"""Rules on bytes: what lies there now, what was recorded, and what each step saw."""

from collections.abc import Iterator

from slimline.audit.case import Case
from slimline.audit.findings import Finding, Status
from slimline.lineage.records import ArtifactNode
from slimline.names import metadata_keys
from slimline.provenance.chain import broken_links
from slimline.provenance.manifest import Manifest
from slimline.provenance.statement import ArtifactState

_MAX_NAMED = 3


def bytes_as_recorded(case: Case) -> Iterator[Finding]:
    """Compares the files of every artifact with those that its maker wrote, or that its first user saw."""
    rule = "bytes-as-recorded"
    for node in case.records.artifacts.values():
        subject = case.describe(node)
        recorded = node.properties.get(metadata_keys.MANIFEST_DIGEST) or ""
        state = _own_state(case, node) or _first_seen(case, node)
        digest = recorded or (state.digest if state else "")
        if not digest:
            yield Finding(rule, Status.NOT_RECORDED, subject, "no step recorded its files", node.id)
        elif not case.is_there(node):
            yield Finding(rule, Status.INCONCLUSIVE, subject, f"its folder {node.uri} is gone", node.id)
        elif (manifest := case.manifest(node)).digest == digest:
            yield _on_links(rule, subject, node, manifest)
        else:
            difference = _difference(state, manifest) or f"its files have the digest {manifest.digest}, not {digest}"
            yield Finding(rule, Status.FAIL, subject, difference, node.id)


def statements_as_recorded(case: Case) -> Iterator[Finding]:
    """Looks for the statement of every artifact's step beside it, under the digest that the store holds."""
    rule = "statements-as-recorded"
    for node in case.records.artifacts.values():
        subject = case.describe(node)
        digest = node.properties.get(metadata_keys.STEP_DIGEST)
        problem = case.chain_problem(node)
        if problem:
            yield Finding(rule, Status.FAIL, subject, problem, node.id)
        elif digest and case.is_there(node):
            if case.step(node) is not None:
                wrong = broken_links(case.chain(node), str(digest))
                status = Status.FAIL if wrong else Status.PASS
                yield Finding(rule, status, subject, wrong or f"its step is {digest}", node.id)
            elif case.chain(node):
                text = f"the statements beside it are of other steps; the store names {digest}"
                yield Finding(rule, Status.FAIL, subject, text, node.id)
            else:
                yield Finding(rule, Status.FAIL, subject, "the statements beside it were removed", node.id)
        elif not digest and case.chain(node) and node.type != "PushedModel":
            text = "there are statements beside it, and the store names none: its row was changed"
            yield Finding(rule, Status.FAIL, subject, text, node.id)
        elif not digest and case.is_ours(node):
            yield _without_statement(case, rule, node)


def _without_statement(case: Case, rule: str, node: ArtifactNode) -> Finding:
    """Judges what a component of Slimline wrote, and says nothing about: versions of the past recorded nothing."""
    subject = case.describe(node)
    maker = case.everything.producers[node.id]
    if case.keys:
        return Finding(rule, Status.FAIL, subject, "it has no statement that could be signed", node.id)
    if maker.run in case.recording_runs:
        text = "it has no statement, and other steps of its run have: both the row and the file were changed"
        return Finding(rule, Status.FAIL, subject, text, node.id)
    return Finding(rule, Status.NOT_RECORDED, subject, "no step of its run left a statement", node.id)


def inputs_at_use(case: Case) -> Iterator[Finding]:
    """Compares what each step saw of its inputs with what their makers wrote, and with what other steps saw."""
    rule = "inputs-at-use"
    seen: dict[int, tuple[str, str]] = {}
    for execution in case.records.executions.values():
        step = case.step_of(execution) if execution.is_complete else None
        if step is None:
            continue
        for state in step.inputs:
            node = case.everything.artifacts.get(state.artifact_id)
            if node is None:
                continue
            made = node.properties.get(metadata_keys.MANIFEST_DIGEST)
            before, who = (str(made), "its maker wrote") if made else seen.get(node.id, ("", ""))
            seen.setdefault(node.id, (state.digest, f"{step.node} saw"))
            subject = f"{step.node}'s input {state.key}"
            named = node.properties.get(metadata_keys.STEP_DIGEST) or ""
            if state.step and state.step != named:
                text = f"{case.describe(node)} was made by {state.step} then; the store names {named or 'no step'}"
                yield Finding(rule, Status.FAIL, subject, text, node.id, execution.id)
            if before and before != state.digest:
                text = f"{case.describe(node)} was {state.digest} then; {who} {before}"
                yield Finding(rule, Status.FAIL, subject, text, node.id, execution.id)
            elif before:
                yield Finding(
                    rule, Status.PASS, subject, f"{case.describe(node)} was as {who} it", node.id, execution.id
                )


def properties_as_stated(case: Case) -> Iterator[Finding]:
    """Compares digests that the store holds with the files that the step's statement names."""
    rule = "properties-as-stated"
    for node in case.records.artifacts.values():
        step = case.step(node)
        state = _own_state(case, node)
        subject = case.describe(node)
        if step is None:
            continue
        if state is None:
            yield Finding(rule, Status.FAIL, subject, f"its step wrote nothing to {node.uri}", node.id)
            continue
        known = {entry.digest for entry in (*state.files, *(e for s in step.inputs for e in s.files))}
        wrong = [
            f"{key} is {node.properties[key]}, which is no file of the step"
            for key in (metadata_keys.CONTENT_DIGEST, metadata_keys.REPORT_DIGEST, metadata_keys.IO_SPEC_DIGEST)
            if _is_of_a_file(node, key) and node.properties[key] not in known
        ]
        if node.properties.get(metadata_keys.MANIFEST_DIGEST) != state.digest:
            wrong.append(f"its {metadata_keys.MANIFEST_DIGEST} is not that of the statement, {state.digest}")
        if wrong:
            yield Finding(rule, Status.FAIL, subject, "; ".join(wrong), node.id)
        else:
            yield Finding(rule, Status.PASS, subject, "the store's digests are the statement's", node.id)


def signatures(case: Case) -> Iterator[Finding]:
    """Verifies the signature of every statement with the auditor's keys."""
    rule = "signatures"
    if not case.keys:
        if case.policy is not None and case.policy.require_signatures:
            yield Finding(rule, Status.FAIL, "policy", "it asks for signatures, and no key was given with --key")
        return
    checked = set()
    for node in case.records.artifacts.values():
        for envelope in case.chain(node):
            if envelope.digest in checked:
                continue
            checked.add(envelope.digest)
            good = any(envelope.is_signed_by(key) for key in case.keys)
            text = "signed by a given key" if good else "not signed by any given key"
            status = Status.PASS if good else Status.FAIL
            yield Finding(
                rule, status, f"statement {envelope.digest[:19]}… beside {case.describe(node)}", text, node.id
            )


def _own_state(case: Case, node: ArtifactNode) -> ArtifactState | None:
    """Returns what the step that made an artifact says that it wrote there."""
    step = case.step(node)
    if step is None:
        return None
    return next((state for state in step.outputs if state.uri == node.uri), None)


def _first_seen(case: Case, node: ArtifactNode) -> ArtifactState | None:
    """Returns what the first step that used an artifact saw there: makers of TFX record nothing."""
    for execution in case.everything.consumers.get(node.id, ()):
        step = case.step_of(execution)
        for state in step.inputs if step else ():
            if state.artifact_id == node.id:
                return state
    return None


def _difference(state: ArtifactState | None, manifest: Manifest) -> str:
    """Names the files that differ, as far as they are listed."""
    if state is None or not state.files:
        return ""
    before, now = {entry.path: entry.digest for entry in state.files}, manifest.by_path()
    changed = [path for path in before if path in now and now[path].digest != before[path]]
    parts = {"changed": changed, "missing": sorted(set(before) - set(now)), "added": sorted(set(now) - set(before))}
    return "; ".join(
        f"{word}: {', '.join(paths[:_MAX_NAMED])}"
        + (f" and {len(paths) - _MAX_NAMED} more" * (len(paths) > _MAX_NAMED))
        for word, paths in parts.items()
        if paths
    )


def _on_links(rule: str, subject: str, node: ArtifactNode, manifest: Manifest) -> Finding:
    linked = [entry.path for entry in manifest.files if entry.is_link]
    if linked:
        text = f"the bytes are as recorded, but links stand for files: {', '.join(linked[:_MAX_NAMED])}"
        return Finding(rule, Status.WARN, subject, text, node.id)
    return Finding(rule, Status.PASS, subject, f"{len(manifest.files)} file(s) as recorded", node.id)


def _is_of_a_file(node: ArtifactNode, key: str) -> bool:
    """Whether a digest is one of a file: a Keras model's is that of a folder, an evaluation's of its JSON."""
    is_folder = key == metadata_keys.CONTENT_DIGEST and node.type == "Model" and "scheme" not in node.properties
    return key in node.properties and node.properties[key] not in ("", None) and not is_folder
