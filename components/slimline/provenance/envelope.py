"""DSSE envelopes, and signatures by a local key.

The format is that of https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md). Keys are ECDSA on P-256 and
SHA-256, in PEM, as OpenSSL makes them: `openssl ecparam -genkey -name prime256v1 -noout -out key.pem`.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from slimline.errors import ProvenanceError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
# PEM file of the key that steps sign with, and its password. Without a key they are not signed.
KEY_VARIABLE = "SLIMLINE_SIGNING_KEY"
PASSWORD_VARIABLE = "SLIMLINE_SIGNING_KEY_PASSWORD"  # noqa: S105
_ALGORITHM = ec.ECDSA(hashes.SHA256())
_MAKE_KEY = "make one: openssl ecparam -genkey -name prime256v1 -noout -out key.pem; openssl ec -in key.pem -pubout"


@dataclass(frozen=True)
class Envelope:
    """A payload with signatures.

    Attributes:
      payload: Bytes of the statement, as they were signed.
      signatures: Of the payload, by id of the key; none when nobody signed.
    """

    payload: bytes
    signatures: Mapping[str, bytes]

    @cached_property
    def digest(self) -> str:
        """`sha256:<hex>` of the payload: what names the statement."""
        return "sha256:" + hashlib.sha256(self.payload).hexdigest()

    def statement(self) -> dict[str, Any]:
        """Returns the payload as JSON.

        Raises:
          ProvenanceError: It is no in-toto statement.
        """
        try:
            content = json.loads(self.payload)
        except ValueError as error:
            raise _no_envelope(f"a payload that is no JSON: {error}") from None
        if not isinstance(content, dict) or not str(content.get("_type", "")).startswith("https://in-toto.io/"):
            raise _no_envelope("a payload that is no in-toto statement")
        return content

    def sign(self, key: ec.EllipticCurvePrivateKey) -> "Envelope":
        """Returns the envelope with one more signature."""
        signature = key.sign(pre_authentication(self.payload), _ALGORITHM)
        return Envelope(self.payload, {**self.signatures, key_id(key.public_key()): signature})

    def is_signed_by(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Says whether one of the signatures is this key's, and true."""
        for signature in self.signatures.values():
            try:
                key.verify(signature, pre_authentication(self.payload), _ALGORITHM)
            except InvalidSignature:
                continue
            return True
        return False

    def to_json(self) -> str:
        """Returns one line of JSON."""
        signatures = [{"keyid": id_, "sig": _encode(signature)} for id_, signature in sorted(self.signatures.items())]
        content = {"payload": _encode(self.payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Envelope":
        """Reads an envelope.

        Raises:
          ProvenanceError: It is none.
        """
        try:
            content = json.loads(text)
            if content["payloadType"] != PAYLOAD_TYPE:
                raise _no_envelope(f"a payload of type {content['payloadType']!r}")
            payload = base64.b64decode(content["payload"], validate=True)
            signatures = {
                str(entry.get("keyid", "")): base64.b64decode(entry["sig"], validate=True)
                for entry in content["signatures"]
            }
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
            raise _no_envelope(f"{text[:60]!r}: {type(error).__name__} {error}") from None
        return cls(payload, signatures)


def pre_authentication(payload: bytes) -> bytes:
    """Returns what is signed: type and payload with their lengths, DSSE's `PAE`."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Returns the SHA-256 of a key's DER form, in hexadecimal digits."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def signing_password() -> bytes | None:
    """Returns the password of the private key from the environment; None without one."""
    password = os.environ.get(PASSWORD_VARIABLE)
    return password.encode() if password else None


def load_private_key(path: Path, password: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """Reads a private key.

    Args:
      path: PEM file.
      password: Of the file, when it is encrypted.

    Raises:
      ProvenanceError: There is no such key, or it can't be opened.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ProvenanceError(f"{path}, which is no key to sign with: {error}", _WANTED, _MAKE_KEY) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ProvenanceError(f"{path} with another kind of key", _WANTED, _MAKE_KEY)
    return key


def load_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Reads a public key from a PEM file.

    Raises:
      ProvenanceError: There is no such key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ProvenanceError(f"{path}, which is no public key: {error}", _WANTED, _MAKE_KEY) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ProvenanceError(f"{path} with another kind of key", _WANTED, _MAKE_KEY)
    return key


_WANTED = "a PEM file with an ECDSA key on the curve P-256"


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _no_envelope(found: str) -> ProvenanceError:
    return ProvenanceError(found, "a DSSE envelope with an in-toto statement", "take the file as Slimline wrote it")
