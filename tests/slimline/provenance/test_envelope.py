"""Signatures against OpenSSL's own verifier, and the pre-authentication encoding against DSSE's protocol.md."""

import base64
import json
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from slimline.errors import ProvenanceError
from slimline.provenance import Envelope, load_private_key, load_public_key
from slimline.provenance.envelope import pre_authentication

STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1","subject":[]}'


def test_what_is_signed_is_encoded_as_the_protocol_says():
    kind = "application/vnd.in-toto+json"
    assert pre_authentication(b"hello") == f"DSSEv1 {len(kind)} {kind} 5 hello".encode()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssl_makes_the_keys_and_verifies_the_signature(tmp_path):
    pem, public, message, signature = (tmp_path / name for name in ("key.pem", "key.pub", "message", "signature"))
    for command in (
        ["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", str(pem)],
        ["ec", "-in", str(pem), "-pubout", "-out", str(public)],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    envelope = Envelope(STATEMENT, {}).sign(load_private_key(pem))
    content = json.loads(envelope.to_json())
    payload = base64.b64decode(content["payload"])
    kind = content["payloadType"].encode()
    message.write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    signature.write_bytes(base64.b64decode(content["signatures"][0]["sig"]))
    verify = ["openssl", "dgst", "-sha256", "-verify", str(public), "-signature", str(signature), str(message)]
    assert subprocess.run(verify, check=True, capture_output=True).stdout.strip() == b"Verified OK"
    assert envelope.is_signed_by(load_public_key(public))


def test_a_changed_payload_or_another_key_is_not_signed():
    one, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    envelope = Envelope.from_json(Envelope(STATEMENT, {}).sign(one).to_json())
    assert envelope.is_signed_by(one.public_key())
    assert not envelope.is_signed_by(other.public_key())
    assert not Envelope(STATEMENT + b" ", envelope.signatures).is_signed_by(one.public_key())


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"payloadType":"text/plain"}', "[" * 100_000,
     '{"payloadType":"application/vnd.in-toto+json","payload":"?","signatures":[]}',
     '{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[{}]}'],
)  # fmt: skip
def test_what_is_no_envelope_is_refused(text):
    with pytest.raises(ProvenanceError):
        Envelope.from_json(text)


@pytest.mark.parametrize("payload", [b"\xff", b"[]", b'{"_type":1}'])
def test_a_payload_that_is_no_statement_is_refused(payload):
    with pytest.raises(ProvenanceError):
        Envelope(payload, {}).statement()


def test_keys_of_other_kinds_are_refused_with_the_way_to_make_one(tmp_path):
    path = tmp_path / "key.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = ec.generate_private_key(ec.SECP384R1())
    path.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    for place in (path, tmp_path / "none", tmp_path):
        with pytest.raises(ProvenanceError, match="openssl ecparam"):
            load_private_key(place)
        with pytest.raises(ProvenanceError, match="openssl ecparam"):
            load_public_key(place)


def test_an_encrypted_key_needs_its_password(tmp_path):
    path = tmp_path / "key.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"secret")))
    assert load_private_key(path, b"secret").private_numbers() == key.private_numbers()
    with pytest.raises(ProvenanceError) as raised:
        load_private_key(path, b"wrong")
    assert "wrong" not in raised.value.found.partition(":")[2] or "secret" not in str(raised.value)
