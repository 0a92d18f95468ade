"""Signatures of a model's files in the format of OpenSSF Model Signing, version 1.0.

The format: https://github.com/sigstore/model-transparency, `docs/model_signing_format.md`: a Sigstore bundle around a
DSSE envelope around an in-toto statement with the predicate `https://model_signing/signature/v1.0`.
`model_signing verify key --signature model.sig --public_key key.pub FOLDER` accepts it.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from slimline.errors import ProvenanceError
from slimline.provenance.envelope import PAYLOAD_TYPE, Envelope
from slimline.provenance.manifest import Manifest
from slimline.provenance.statement import STATEMENT_TYPE

SIGNATURE_FILE = "model.sig"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def sign_files(manifest: Manifest, name: str, key: ec.EllipticCurvePrivateKey, ignored: tuple[str, ...] = ()) -> str:
    """Returns the bundle that signs a folder's files, as JSON.

    Args:
      manifest: Of the files, without the ignored ones.
      name: Of the model.
      key: To sign with.
      ignored: Paths that a verifier passes over.
    """
    digests = [bytes.fromhex(entry.digest.removeprefix("sha256:")) for entry in manifest.files]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": hashlib.sha256(b"".join(digests)).hexdigest()}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": sorted((SIGNATURE_FILE, *ignored)),
            },
            "resources": [
                {"name": entry.path, "algorithm": "sha256", "digest": digest.hex()}
                for entry, digest in zip(manifest.files, digests, strict=True)
            ],
        },
    }
    envelope = Envelope(json.dumps(statement, sort_keys=True).encode(), {}).sign(key)
    (signature,) = envelope.signatures.values()
    bundle = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _hint(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(envelope.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle, indent=1, sort_keys=True) + "\n"


def verify_files(manifest: Manifest, bundle: Path, key: ec.EllipticCurvePublicKey) -> str:
    """Verifies a bundle, also one that `model_signing sign key` wrote.

    Args:
      manifest: Of the files that lie there now.
      bundle: File of the signature.
      key: Of the signer.

    Returns:
      What is wrong; empty when nothing is.

    Raises:
      ProvenanceError: It is no such bundle.
    """
    envelope, statement = _read(bundle)
    if not envelope.is_signed_by(key):
        return "the signature is not of this key"
    predicate = statement["predicate"]
    ignored = {SIGNATURE_FILE, *(Path(path).name for path in predicate["serialization"].get("ignore_paths", ()))}
    signed = {entry["name"]: "sha256:" + entry["digest"] for entry in predicate["resources"]}
    found = {e.path: e.digest for e in manifest.files if e.path in signed or e.path.split("/")[0] not in ignored}
    differing = sorted({path for path, _ in set(found.items()) ^ set(signed.items())})
    return f"other files than were signed: {', '.join(differing)}" if differing else ""


def _read(bundle: Path) -> tuple[Envelope, Mapping[str, Any]]:
    try:
        inner = json.loads(bundle.read_text())["dsseEnvelope"]
        envelope = Envelope.from_json(json.dumps(inner))
        statement = envelope.statement()
        if statement["predicateType"] != _PREDICATE_TYPE:
            raise ValueError(f"the predicate {statement['predicateType']}")
    except (OSError, ValueError, KeyError, TypeError, ProvenanceError) as error:
        raise ProvenanceError(
            f"{bundle}, which is no model signature: {getattr(error, 'found', error)}",
            "a bundle of OpenSSF Model Signing 1.0",
            "sign the model anew",
        ) from None
    return envelope, statement


def _hint(key: ec.EllipticCurvePublicKey) -> str:
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()
