"""Verifies an evidence bundle with Python's standard library alone: python verify.py BUNDLE.zip [--key PUBLIC.pem].

It is in every bundle as `verify.py`; take it from another source when you do not trust the bundle's. It checks that the
files are those that the statements name, that no statement is missing from the chain, that the evaluation is the one of
the gate and that its chosen candidate passed and is the file, and, with a key, that this key signed every statement.
"""

import argparse
import base64
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

# NIST P-256: https://nvlpubs.nist.gov/nistpubs/SpecialPublications/NIST.SP.800-186.pdf, 3.2.1.3.
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
A = P - 3
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
# SubjectPublicKeyInfo of an uncompressed point on that curve, up to the point.
SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
PAYLOAD_TYPE = b"application/vnd.in-toto+json"
LISTING = "sha256sumListing"


def add(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    """Adds two points of the curve; None is the point at infinity."""
    if one is None or other is None:
        return one or other
    if one[0] == other[0]:
        if (one[1] + other[1]) % P == 0:
            return None
        slope = (3 * one[0] * one[0] + A) * pow(2 * one[1], -1, P)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, P)
    x = (slope * slope - one[0] - other[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def multiply(factor: int, point: tuple[int, int]) -> tuple[int, int] | None:
    """Multiplies a point by a number."""
    result, power = None, point
    while factor:
        if factor & 1:
            result = add(result, power)
        doubled = add(power, power)
        assert doubled is not None
        power, factor = doubled, factor >> 1
    return result


def read_key(pem: str) -> tuple[int, int]:
    """Reads a public key on P-256 from PEM."""
    der = base64.b64decode("".join(line for line in pem.splitlines() if line and not line.startswith("-")))
    if not der.startswith(SPKI) or len(der) != len(SPKI) + 64:
        raise ValueError("the key is no ECDSA key on P-256")
    point = int.from_bytes(der[-64:-32], "big"), int.from_bytes(der[-32:], "big")
    if (point[1] ** 2 - point[0] ** 3 - A * point[0] - B) % P:
        raise ValueError("the key is no point of P-256")
    return point


def read_signature(der: bytes) -> tuple[int, int]:
    """Reads the two numbers of a signature from DER."""
    length = der[3]
    r, rest = der[4 : 4 + length], der[4 + length :]
    return int.from_bytes(r, "big"), int.from_bytes(rest[2 : 2 + rest[1]], "big")


def is_signed(payload: bytes, der: bytes, key: tuple[int, int]) -> bool:
    """Verifies ECDSA with SHA-256 (FIPS 186-5, 6.4.2) over DSSE's pre-authentication encoding."""
    encoded = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE, len(payload), payload)
    try:
        r, s = read_signature(der)
    except IndexError:
        return False
    if not (0 < r < N and 0 < s < N):
        return False
    inverse = pow(s, -1, N)
    digest = int.from_bytes(hashlib.sha256(encoded).digest(), "big")
    point = add(multiply(digest * inverse % N, G), multiply(r * inverse % N, key))
    return point is not None and point[0] % N == r


def problems(bundle: zipfile.ZipFile, key: tuple[int, int] | None) -> Iterator[str]:
    """Yields what is wrong with a bundle."""
    files = {name: bundle.read(name) for name in bundle.namelist()}
    envelopes = [json.loads(line) for line in files["model/steps.jsonl"].decode().splitlines()]
    payloads = [base64.b64decode(envelope["payload"]) for envelope in envelopes]
    steps = {sha256(payload): json.loads(payload)["predicate"] for payload in payloads}
    if key is not None:
        for envelope, payload in zip(envelopes, payloads, strict=True):
            signatures = [base64.b64decode(entry["sig"]) for entry in envelope["signatures"]]
            if not any(is_signed(payload, signature, key) for signature in signatures):
                yield f"statement {sha256(payload)} is not signed by the key"
    last = sha256(payloads[-1])
    yield from chain_problems(steps, last)
    if last in steps:
        yield from gate_problems(files, steps[last])


def chain_problems(steps: dict[str, Any], last: str) -> Iterator[str]:
    """Yields statements that are missing or strange, and inputs that were not what their maker wrote."""
    reached: set[str] = set()
    waiting = [last]
    while waiting:
        digest = waiting.pop()
        if digest in reached:
            continue
        reached.add(digest)
        if digest not in steps:
            yield f"the statement {digest} is missing"
            continue
        for used in steps[digest]["buildDefinition"]["resolvedDependencies"]:
            maker = used["annotations"]["step"]
            if maker:
                waiting.append(maker)
            written = [output["digest"][LISTING] for output in outputs(steps.get(maker))]
            if written and used["digest"][LISTING] not in written:
                yield f"{used['name']} was used with other bytes than were written"
    yield from (f"the statement {digest} belongs to nothing" for digest in sorted(set(steps) - reached))


def gate_problems(files: dict[str, bytes], gate: dict[str, Any]) -> Iterator[str]:
    """Yields differences between the gate's statement, the files, and the evaluation."""
    written = {output["name"]: output["annotations"]["files"] for output in outputs(gate)}
    prefix = "Format-Serving/"
    told = {
        e["path"].removeprefix(prefix): e["digest"] for e in written["blessed_model"] if e["path"].startswith(prefix)
    }
    found = {
        name.removeprefix("model/"): sha256(content)
        for name, content in files.items()
        if name.startswith("model/") and name not in ("model/steps.jsonl", "model/model.sig")
    }
    for name in sorted(set(told) | set(found)):
        if told.get(name) != found.get(name):
            yield f"model/{name} is not what the gate wrote"
    evaluation = files["evaluation.json"]
    if sha256(evaluation) not in {entry["digest"] for entry in written["evaluation"]}:
        yield "evaluation.json is not what the gate wrote"
    content = json.loads(evaluation)
    chosen = next((c for c in content["candidates"] if c["name"] == content["chosen"]), None)
    if chosen is None or chosen["verdict"] != "pass":
        yield "the evaluation chose none that passed"
    elif chosen["content_digest"] != found.get("tflite"):
        yield "the file is not the candidate that was chosen"
    if content["config"] != gate["buildDefinition"]["externalParameters"]["parameters"]["config"]:
        yield "the evaluation has other limits than the gate was given"


def outputs(step: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Returns what a step wrote; nothing for none."""
    return list(step["runDetails"]["byproducts"]) if step else []


def sha256(content: bytes) -> str:
    """Returns `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def main() -> int:
    """Verifies the bundle that the command line names; returns the exit code."""
    parser = argparse.ArgumentParser(description="Verifies an evidence bundle.")
    parser.add_argument("bundle", help="the .zip file")
    parser.add_argument("--key", help="public key that every statement must be signed by, in PEM")
    arguments = parser.parse_args()
    key = None
    try:
        if arguments.key:
            with open(arguments.key, encoding="ascii") as stream:  # noqa: PTH123
                key = read_key(stream.read())
        with zipfile.ZipFile(arguments.bundle) as bundle:
            found = list(problems(bundle, key))
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        print(f"It can't be verified: {error!r}", file=sys.stderr)  # noqa: T201
        return 2
    for text in found:
        print(f"WRONG: {text}")  # noqa: T201
    if not found:
        note = "" if key else "; no signature was asked for (--key)"
        print(f"The bundle holds together{note}.")  # noqa: T201
    return 3 if found else 0


if __name__ == "__main__":
    sys.exit(main())
