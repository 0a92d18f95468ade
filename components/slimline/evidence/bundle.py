"""Writes all evidence on a model into one `.zip` file, which a third party verifies with Python alone."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from slimline.errors import ProvenanceError
from slimline.evidence import verify_bundle
from slimline.evidence.collecting import Evidence
from slimline.evidence.cyclonedx import bill_of_materials
from slimline.evidence.gate_decision import gate_decision
from slimline.evidence.model_card import model_card
from slimline.evidence.model_signature import SIGNATURE_FILE, sign_files
from slimline.evidence.openlineage import lineage_events
from slimline.evidence.prov_json import prov_document
from slimline.names import file_names
from slimline.provenance.chain import chain_text
from slimline.provenance.manifest import CHAIN_FILE

# The earliest time that a .zip file can hold: the same evidence gives the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


def write_bundle(evidence: Evidence, path: Path, key: Any = None) -> None:
    """Writes the bundle, whole or not at all.

    Args:
      evidence: Of a blessed model.
      path: Of the `.zip` file.
      key: Private key to sign the files and the decision with; None leaves them unsigned.

    Raises:
      ProvenanceError: It can't be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            for name, content in sorted(_contents(evidence, key).items()):
                info = zipfile.ZipInfo(name, _TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, content)
        partial.replace(path)
    except OSError as error:
        raise ProvenanceError(
            f"{path}, which can't be written: {error.strerror}", "a place to write to", "choose another"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _contents(evidence: Evidence, key: Any) -> dict[str, bytes]:
    decision = gate_decision(evidence)
    name = str(evidence.evaluation["chosen"])
    texts = {
        f"model/{CHAIN_FILE}": chain_text(evidence.chain),
        "decision.dsse.json": (decision.sign(key) if key else decision).to_json() + "\n",
        "bom.cdx.json": _json(bill_of_materials(evidence)),
        "openlineage.jsonl": "".join(json.dumps(event, sort_keys=True) + "\n" for event in lineage_events(evidence)),
        "prov.json": _json(prov_document(evidence)),
        "model_card.md": model_card(evidence, as_html=False),
        "model_card.html": model_card(evidence, as_html=True),
        "verify.py": Path(str(verify_bundle.__file__)).read_text(),
    }
    if key is not None:
        texts[f"model/{SIGNATURE_FILE}"] = sign_files(evidence.manifest, name, key, (CHAIN_FILE,))
    files = {f"model/{name}": content for name, content in evidence.files.items()}
    return {**files, file_names.EVALUATION: evidence.evaluation_text, **{k: v.encode() for k, v in texts.items()}}


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
