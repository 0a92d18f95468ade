"""Audits of records that no single pipeline leaves: warm starts over years, two pipelines, the same bytes twice."""

from pathlib import Path

import pytest

from slimline.audit import Case, Status, everything, model_at, run_audit, take_snapshot
from slimline.audit.layout import lay_out
from slimline.core.digest import file_digest
from slimline.names import metadata_keys
from slimline.provenance import ArtifactState, Envelope, Step, manifest_of, merge_chains, read_chain, write_chain
from tests.slimline.lineage.conftest import Recorder, recorded, recorder

__all__ = ["recorded", "recorder"]


class Run:
    """Writes runs of one step each, from a model to the next, with statements as components leave them."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        self.recorder, self.folder, self.number = recorder, folder, 0

    def train(
        self, base: int | None = None, content: bytes = b"", chain: tuple[Envelope, ...] = (), base_state=None
    ) -> int:
        self.number += 1
        place = self.folder / f"model-{self.number}"
        (place / "Format-Serving").mkdir(parents=True)
        (place / "Format-Serving" / "tflite").write_bytes(content or str(self.number).encode())
        state = ArtifactState.of("model", "Model", str(place), manifest_of(place))
        times = ("1970-01-01T00:00:00.000+00:00",) * 2
        step = Step("x.T", "T", "r", {}, (base_state,) if base_state else (), (state,), *times)
        whole = merge_chains([chain, (step.to_envelope(),)])
        write_chain(place, whole)
        digest = file_digest(place / "Format-Serving" / "tflite")
        model = self.recorder.artifact(
            "Model",
            place,
            content_digest=digest,
            step_digest=whole[-1].digest,
            manifest_digest=state.digest,
            scheme="int8",
        )
        inputs = [("base", base)] if base else []
        self.recorder.execution("Trainer", inputs, [("model", model)], contexts=[self.recorder.run(f"r{self.number}")])
        return model


@pytest.fixture
def run(recorder, tmp_path) -> Run:
    return Run(recorder, tmp_path)


def failed(records, subject) -> set[str]:
    # The clocks of these runs stand still.
    result = run_audit(Case(subject.records, records), subject.title)
    findings = (*subject.findings, *result.findings)
    return {f.rule for f in findings if f.status == Status.FAIL} - {"times-in-order"}


def test_a_chain_of_300_warm_starts_is_walked_to_its_end(run, recorder, tmp_path):
    model = run.train()
    for _ in range(299):
        node = tmp_path / f"model-{run.number}"
        chain = read_chain(node)
        state = ArtifactState.of("base", "Model", str(node), manifest_of(node), model, chain[-1].digest)
        model = run.train(model, chain=chain[-1:], base_state=state)
    records = take_snapshot(recorder.store, tmp_path)
    subject = model_at(records, tmp_path / "model-300")
    assert len(subject.records.executions) == 300
    assert len(lay_out(subject.records).places) == 300
    # Each statement builds on the one before; only the last two travel with a model here.
    assert failed(records, subject) == {"statements-as-recorded"}


def test_the_same_bytes_of_two_runs_are_both_told(run, recorder, tmp_path):
    one, other = run.train(content=b"same"), run.train(content=b"same")
    records = take_snapshot(recorder.store, tmp_path)
    subject = model_at(records, tmp_path / "model-1")
    assert set(subject.records.artifacts) == {one, other}
    assert failed(records, subject) == set()


def test_two_pipelines_in_one_store_are_both_audited(run, recorder, recorded, tmp_path):
    model = run.train()
    records = take_snapshot(recorder.store, tmp_path)
    subject = everything(records, "all")
    assert {model, recorded["pushed"]} <= set(subject.records.artifacts)
    alone = model_at(records, tmp_path / "model-1")
    assert set(alone.records.artifacts) == {model}
    assert failed(records, alone) == set()


def test_an_input_that_was_exchanged_between_two_steps_is_found(run, recorder, tmp_path):
    model = run.train(content=b"first")
    place = tmp_path / "model-1"
    chain = read_chain(place)
    (place / "Format-Serving" / "tflite").write_bytes(b"other")
    seen = ArtifactState.of("base", "Model", str(place), manifest_of(place), model, chain[-1].digest)
    (place / "Format-Serving" / "tflite").write_bytes(b"first")
    run.train(model, chain=chain, base_state=seen)
    records = take_snapshot(recorder.store, tmp_path)
    assert failed(records, everything(records, "all")) == {"inputs-at-use"}


def test_a_circle_of_events_ends(recorder, tmp_path):
    model = recorder.artifact("Model", tmp_path / "m", **{metadata_keys.CONTENT_DIGEST: "sha256:0"})
    recorder.execution("A", [("x", model)], [("y", model)])
    records = take_snapshot(recorder.store, tmp_path)
    assert records.upstream([model]) == set(records.executions)
    assert len(lay_out(records).places) == 1
