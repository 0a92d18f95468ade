"""Verifies a model by the statements that travel with it: no metadata store, and no file but its own, is needed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slimline.audit.audit import AuditResult
from slimline.audit.case import served_digests
from slimline.audit.findings import Finding, Status
from slimline.errors import LineageError, ProvenanceError
from slimline.names import file_names
from slimline.provenance.chain import broken_links, read_chain, steps_of
from slimline.provenance.envelope import Envelope
from slimline.provenance.manifest import CHAIN_FILE, manifest_of
from slimline.provenance.statement import ArtifactState, Step

_PREFIX = file_names.SERVING_FOLDER + "/"
_BLESSED = "blessed_model"


def verify_model(path: Path, keys: Sequence[Any] = ()) -> AuditResult:
    """Verifies a model's folder, or a file with its statements beside it.

    Args:
      path: A pushed or a model's folder, or a `.tflite` file in one.
      keys: Public keys, one of which must have signed each statement; none when signatures are not asked for.

    Raises:
      LineageError: There is nothing, or no statement beside it.
    """
    folder = path.parent if path.is_file() else path
    if not path.exists() or not (folder / CHAIN_FILE).is_file():
        raise LineageError(
            f"no {CHAIN_FILE} in {folder}",
            "a model with the statements of its steps, as a gated push leaves it",
            "give the pushed folder; or audit the file against its store: slimline audit FILE --metadata STORE",
        )
    try:
        chain = read_chain(folder)
        steps = steps_of(chain)
    except ProvenanceError as error:
        finding = Finding("statements-whole", Status.FAIL, str(folder), error.found)
        return AuditResult(str(path), (finding,))
    findings = [*_verify(path, folder, chain, steps), *_signatures(chain, steps, keys)]
    return AuditResult(str(path), tuple(sorted(findings, key=lambda f: (f.status == Status.PASS, f.rule))))


def _verify(path: Path, folder: Path, chain: Sequence[Envelope], steps: dict[str, Step]) -> Iterator[Finding]:
    last = chain[-1].digest if chain else ""
    wrong = broken_links(chain, last)
    status = Status.FAIL if wrong else Status.PASS
    yield Finding("statements-whole", status, str(folder), wrong or f"{len(chain)} steps, each on those before it")
    if wrong:
        return
    found = served_digests(manifest_of(folder))
    if path.is_file():
        found = {path.name: found.get(path.name, "")}
    state = _described(steps[last], found)
    if state is None:
        text = "its files are not those that the last step wrote"
        yield Finding("bytes-as-stated", Status.FAIL, str(path), text)
        return
    yield Finding("bytes-as-stated", Status.PASS, str(path), f"written by {steps[last].node} as {state.key}")
    yield from _gate(steps[last], state)
    yield from _sources(steps)


def _described(step: Step, found: dict[str, str]) -> ArtifactState | None:
    """Returns the output of a step whose serving files are those found."""
    for state in step.outputs:
        told = {
            entry.path.removeprefix(_PREFIX): entry.digest for entry in state.files if entry.path.startswith(_PREFIX)
        }
        if told and (found == told or (len(found) == 1 and found.items() <= told.items())):
            return state
    return None


def _gate(last: Step, state: ArtifactState) -> Iterator[Finding]:
    subject = f"{last.node} of run {last.run}"
    if state.key != _BLESSED:
        text = "the last step is no gate: nothing says that this model is good enough"
        yield Finding("passed-the-gate", Status.FAIL, subject, text)
        return
    chosen = {entry.digest for entry in state.files if entry.path == _PREFIX + file_names.TFLITE}
    candidates = [s for s in last.inputs if s.key.startswith("candidate")]
    names = [s.key for s in candidates if chosen & {entry.digest for entry in s.files}]
    config = last.parameters.get("config", {})
    limits = ", ".join(_limits(config)) if isinstance(config, dict) else ""
    status = Status.PASS if names else Status.FAIL
    text = f"blessed, with {limits}" if names else "what was blessed is none of the candidates"
    yield Finding("passed-the-gate", status, subject, text)


def _limits(config: dict[str, Any]) -> Iterator[str]:
    for threshold in config.get("thresholds", ()):
        options = {k: v for k, v in threshold.items() if k not in ("metric", "slice") and v is not None}
        yield f"{threshold.get('metric')} " + ", ".join(f"{key} {value:g}" for key, value in options.items())
    yield f"confidence {config.get('confidence')}"


def _sources(steps: dict[str, Step]) -> Iterator[Finding]:
    """Compares what each step saw of its inputs with what the step before it wrote."""
    for step in steps.values():
        for state in step.inputs:
            maker = steps.get(state.step)
            if maker is None:
                continue
            told = {output.digest for output in maker.outputs}
            status = Status.PASS if state.digest in told else Status.FAIL
            text = f"{maker.node} wrote it" if status is Status.PASS else f"{maker.node} wrote other bytes"
            yield Finding("inputs-at-use", status, f"{step.node}'s input {state.key}", text)


def _signatures(chain: Sequence[Envelope], steps: dict[str, Step], keys: Sequence[Any]) -> Iterator[Finding]:
    if not keys:
        text = "nobody's signature was asked for (--key): whoever could write the model could write its statements"
        yield Finding("signatures", Status.WARN, "statements", text)
        return
    for envelope in chain:
        is_good = any(envelope.is_signed_by(key) for key in keys)
        status = Status.PASS if is_good else Status.FAIL
        text = "signed by a given key" if is_good else "not signed by any given key"
        yield Finding("signatures", status, f"step {steps[envelope.digest].node}", text)
