"""Gathers what is known of a model: its files, its statements, and the evaluation that chose it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline.core.digest import content_digest
from slimline.errors import ProvenanceError
from slimline.names import file_names
from slimline.provenance.chain import read_chain, steps_of
from slimline.provenance.envelope import Envelope
from slimline.provenance.manifest import CHAIN_FILE, Manifest, make_manifest, manifest_of
from slimline.provenance.statement import Step

_GATE_OUTPUT = "blessed_model"
_EVALUATION = "evaluation"


@dataclass(frozen=True)
class Evidence:
    """What is known of a model.

    Attributes:
      files: Bytes of the serving files by name, without the statements.
      manifest: Of these files.
      chain: The statements, the gate's last.
      steps: What they say, by digest.
      evaluation: `evaluation.json` of the gate.
      evaluation_text: Its bytes.
    """

    files: Mapping[str, bytes]
    manifest: Manifest
    chain: tuple[Envelope, ...]
    steps: Mapping[str, Step]
    evaluation: Mapping[str, Any]
    evaluation_text: bytes

    @property
    def gate(self) -> Step:
        """The step that blessed the model."""
        return self.steps[self.chain[-1].digest]

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the `.tflite` file."""
        return content_digest(self.files[file_names.TFLITE])

    @property
    def report(self) -> Mapping[str, Any]:
        """What was measured of the chosen candidate."""
        chosen = self.evaluation["chosen"]
        report: Mapping[str, Any] = next(c for c in self.evaluation["candidates"] if c["name"] == chosen)
        return report


def collect(folder: Path, evaluation: Path | None = None) -> Evidence:
    """Gathers the evidence on a blessed or pushed model.

    Args:
      folder: That holds the `.tflite` file and its statements.
      evaluation: `evaluation.json`; None to look where the gate wrote it.

    Raises:
      ProvenanceError: A part is missing, or they do not belong together.
    """
    folder = folder.parent if folder.is_file() else folder
    inner = folder / file_names.SERVING_FOLDER
    serving = inner if inner.is_dir() else folder
    chain = read_chain(serving)
    if not chain or not (serving / file_names.TFLITE).is_file():
        raise ProvenanceError(
            f"{folder} without {CHAIN_FILE if not chain else file_names.TFLITE}",
            "the folder of a model that went through the gate",
            "give the pushed folder, or the EdgeValidator's blessed_model",
        )
    steps = steps_of(chain)
    gate = steps[chain[-1].digest]
    written = gate.output(_GATE_OUTPUT)
    if written is None:
        raise ProvenanceError(
            f"{folder}, which {gate.node} wrote", "a model that the gate blessed", "push it through an EdgeValidator"
        )
    manifest = make_manifest(manifest_of(serving).files)
    _compare(folder, manifest, {e.path.rpartition("/")[2]: e.digest for e in written.files if "/" in e.path})
    text = _evaluation_text(gate, evaluation)
    files = {entry.path: (serving / entry.path).read_bytes() for entry in manifest.files}
    return Evidence(files, manifest, chain, steps, json.loads(text), text)


def _compare(folder: Path, manifest: Manifest, told: Mapping[str, str]) -> None:
    found = {entry.path: entry.digest for entry in manifest.files}
    if found != told:
        names = sorted(set(found.items()) ^ set(told.items()))
        raise ProvenanceError(
            f"{folder} with other files than the gate wrote: {', '.join(dict(names))}",
            "the files that were blessed",
            "find out who changed them: slimline verify",
        )


def _evaluation_text(gate: Step, given: Path | None) -> bytes:
    state = gate.output(_EVALUATION)
    told = {entry.digest for entry in state.files} if state else set()
    path = given or Path(state.uri if state else "") / file_names.EVALUATION
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ProvenanceError(
            f"no evaluation at {path}: {error.strerror}",
            "the evaluation.json that the gate wrote",
            "name it with --evaluation",
        ) from None
    if content_digest(text) not in told:
        raise ProvenanceError(
            f"{path} with the digest {content_digest(text)}",
            "the evaluation.json that the gate wrote, unchanged",
            "find the one of this run",
        )
    return text
