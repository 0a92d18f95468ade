"""Evidence on a real run's model, read and verified by other tools, and by Python's standard library alone."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import model_signing
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from openlineage.client import event_v2
from prov.model import ProvActivity, ProvDocument, ProvEntity
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.signer import SSlibKey

from slimline.errors import ProvenanceError
from slimline.evidence import collect, sign_files, verify_files, write_bundle
from slimline.provenance import load_private_key, load_public_key, manifest_of, read_chain, write_chain
from tests.e2e.conftest import pushed

pytestmark = pytest.mark.slow


@pytest.fixture
def signed(root, keys) -> Path:
    """A run whose statements are signed by key `a`."""
    private = load_private_key(keys("a"))
    for chain in root.rglob("steps.jsonl"):
        write_chain(chain.parent, [envelope.sign(private) for envelope in read_chain(chain.parent)])
    return root


@pytest.fixture
def evaluation(signed) -> Path:
    (path,) = signed.rglob("evaluation.json")
    return path


@pytest.fixture
def bundle(signed, evaluation, keys, tmp_path) -> Path:
    path = tmp_path / "evidence.zip"
    write_bundle(collect(pushed(signed), evaluation), path, load_private_key(keys("a")))
    return path


def member(bundle: Path, name: str) -> bytes:
    with zipfile.ZipFile(bundle) as archive:
        return archive.read(name)


def change(bundle: Path, name: str, content: bytes) -> Path:
    """Returns a copy in which one member has other content."""
    changed = bundle.with_name("changed.zip")
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(changed, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, content if info.filename == name else old.read(info))
    return changed


def verify_alone(bundle: Path, *options: object) -> tuple[int, str]:
    """Runs the script of the bundle, isolated from every package."""
    script = bundle.with_name("verify.py")
    script.write_bytes(member(bundle, "verify.py"))
    command = [sys.executable, "-I", "-S", str(script), str(bundle), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_standard_library_alone_verifies_a_bundle(bundle, keys):
    assert verify_alone(bundle, "--key", keys("a").with_suffix(".pub"))[0] == 0
    assert verify_alone(bundle)[0] == 0
    code, text = verify_alone(bundle, "--key", keys("b").with_suffix(".pub"))
    assert (code, "not signed by the key" in text) == (3, True)


@pytest.mark.parametrize("name", ["model/tflite", "model/io_spec.json", "evaluation.json"])
def test_one_changed_byte_in_a_bundle_is_found(bundle, name):
    content = bytearray(member(bundle, name))
    content[len(content) // 2] ^= 1
    code, text = verify_alone(change(bundle, name, bytes(content)))
    assert code in (2, 3), text


def test_a_statement_left_out_of_a_bundle_is_found(bundle):
    lines = member(bundle, "model/steps.jsonl").splitlines(keepends=True)
    code, text = verify_alone(change(bundle, "model/steps.jsonl", b"".join(lines[1:])))
    assert (code, "is missing" in text) == (3, True)


def test_what_is_no_bundle_is_refused(tmp_path, bundle):
    (tmp_path / "junk.zip").write_bytes(b"junk")
    script = bundle.with_name("verify.py")
    script.write_bytes(member(bundle, "verify.py"))
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(tmp_path / "junk.zip")], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_the_same_evidence_gives_the_same_documents(signed, evaluation, bundle, tmp_path):
    again = tmp_path / "again.zip"
    write_bundle(collect(pushed(signed), evaluation), again)
    with zipfile.ZipFile(bundle) as one, zipfile.ZipFile(again) as other:
        assert set(one.namelist()) - set(other.namelist()) == {"model/model.sig"}
        # ECDSA draws a number for each signature.
        same = set(other.namelist()) - {"decision.dsse.json"}
        assert all(one.read(name) == other.read(name) for name in same)


def test_model_signing_accepts_ours_and_we_accept_its(signed, keys, tmp_path):
    folder = Path(shutil.copytree(pushed(signed), tmp_path / "model"))
    (folder / "steps.jsonl").unlink()
    private, public = keys("a"), keys("a").with_suffix(".pub")
    ours, theirs = tmp_path / "ours.sig", tmp_path / "theirs.sig"
    ours.write_text(sign_files(manifest_of(folder), "model", load_private_key(private)))
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public)
    config.verify(folder, ours)
    model_signing.signing.Config().use_elliptic_key_signer(private_key=private).sign(folder, theirs)
    assert verify_files(manifest_of(folder), theirs, load_public_key(public)) == ""
    assert verify_files(manifest_of(folder), ours, load_public_key(public)) == ""
    stranger = load_public_key(keys("b").with_suffix(".pub"))
    assert "not of this key" in verify_files(manifest_of(folder), theirs, stranger)
    (folder / "tflite").write_bytes(b"other")
    assert "tflite" in verify_files(manifest_of(folder), theirs, load_public_key(public))
    with pytest.raises(ValueError, match="mismatch"):
        config.verify(folder, ours)


def test_securesystemslib_verifies_statements_and_decision(bundle, keys):
    pem = keys("a").with_suffix(".pub").read_text()
    for line in (*member(bundle, "model/steps.jsonl").splitlines(), member(bundle, "decision.dsse.json")):
        content = json.loads(line)
        key_id = content["signatures"][0]["keyid"]
        key = SSlibKey(key_id, "ecdsa", "ecdsa-sha2-nistp256", {"public": pem})
        assert OtherEnvelope.from_dict(content).verify([key], threshold=1)


def test_cyclonedx_accepts_the_bill_of_materials_strictly(bundle, signed):
    text = member(bundle, "bom.cdx.json").decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    component = json.loads(text)["metadata"]["component"]
    digest = next(e.digest for e in manifest_of(pushed(signed)).files if e.path == "tflite")
    assert component["hashes"][0]["content"] == digest.removeprefix("sha256:")
    names = [ancestor["name"].split()[0] for ancestor in component["pedigree"]["ancestors"]]
    assert names[0].startswith("Quantizer-")
    assert names[1:] == ["Pruner", "original"]


def test_openlineage_reads_the_events(bundle, signed):
    events = [json.loads(line) for line in member(bundle, "openlineage.jsonl").splitlines()]
    runs = [
        event_v2.RunEvent(
            eventTime=event["eventTime"],
            producer=event["producer"],
            run=event_v2.Run(**event["run"]),
            job=event_v2.Job(**event["job"]),
            eventType=event_v2.RunState(event["eventType"]),
            inputs=[event_v2.InputDataset(**data) for data in event["inputs"]],
            outputs=[event_v2.OutputDataset(**data) for data in event["outputs"]],
        )
        for event in events
    ]
    assert [run.job.name for run in runs][-1] == "EdgeValidator"
    assert len({run.run.runId for run in runs}) == len(runs) == 5


def test_prov_reads_the_document_and_gives_it_back(bundle):
    document = ProvDocument.deserialize(content=member(bundle, "prov.json").decode(), format="json")
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert again == document
    assert len(list(document.get_records(ProvActivity))) == 5
    assert len(list(document.get_records(ProvEntity))) > 10


def test_every_number_of_the_model_card_is_the_evaluations(bundle):
    evaluation = json.loads(member(bundle, "evaluation.json"))
    report = next(c for c in evaluation["candidates"] if c["name"] == evaluation["chosen"])
    for name in ("model_card.md", "model_card.html"):
        card = member(bundle, name).decode()
        assert str(report["metrics"]["accuracy"]) in card
        assert str(report["size_bytes"]) in card
        assert str(evaluation["num_examples"]) in card
        assert "http" not in card
        assert "src=" not in card


def test_evidence_that_does_not_belong_together_is_refused(signed, evaluation, tmp_path):
    with pytest.raises(ProvenanceError, match="no evaluation at"):
        collect(pushed(signed))
    other = tmp_path / "evaluation.json"
    other.write_text(evaluation.read_text() + " ")
    with pytest.raises(ProvenanceError, match="unchanged"):
        collect(pushed(signed), other)
    with pytest.raises(ProvenanceError, match=r"without steps\.jsonl"):
        collect(tmp_path)
    (pushed(signed) / "tflite").write_bytes(b"other")
    with pytest.raises(ProvenanceError, match="other files than the gate wrote: tflite"):
        collect(pushed(signed), evaluation)
