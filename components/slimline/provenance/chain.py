"""The steps that led to an artifact, in a file beside it: one envelope a line, a step after those it builds on.

Each statement names the statements of the steps that made its inputs by digest, so that none can be exchanged unseen.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from slimline.errors import ProvenanceError
from slimline.provenance.envelope import Envelope
from slimline.provenance.manifest import CHAIN_FILE
from slimline.provenance.statement import Step

# A chain of 300 warm starts has 5 MB.
_MAX_BYTES = 256 * 2**20


def read_chain(folder: Path) -> tuple[Envelope, ...]:
    """Returns the steps that led to what lies in a folder; none when nothing tells of them.

    Raises:
      ProvenanceError: The file is damaged.
    """
    path = folder / CHAIN_FILE
    if not path.is_file():
        return ()
    if path.stat().st_size > _MAX_BYTES:
        raise ProvenanceError(f"{path} of {path.stat().st_size} bytes", f"at most {_MAX_BYTES}", "write the model anew")
    try:
        return parse_chain(path.read_text())
    except (UnicodeDecodeError, ProvenanceError) as error:
        raise ProvenanceError(
            f"{path}, which is damaged: {getattr(error, 'found', error)}", "one envelope a line", "write the model anew"
        ) from None


def parse_chain(text: str) -> tuple[Envelope, ...]:
    """Reads a chain's lines.

    Raises:
      ProvenanceError: One of them is no envelope.
    """
    return tuple(Envelope.from_json(line) for line in text.splitlines() if line)


def write_chain(folder: Path, chain: Sequence[Envelope]) -> None:
    """Writes the steps that led to what lies in a folder."""
    (folder / CHAIN_FILE).write_text(chain_text(chain))


def chain_text(chain: Sequence[Envelope]) -> str:
    """Returns a chain as the lines of its file."""
    return "".join(envelope.to_json() + "\n" for envelope in chain)


def merge_chains(chains: Iterable[Sequence[Envelope]]) -> tuple[Envelope, ...]:
    """Joins the chains of several inputs: each step once, after those that it builds on."""
    merged: dict[str, Envelope] = {}
    for chain in chains:
        for envelope in chain:
            merged.setdefault(envelope.digest, envelope)
    return tuple(merged.values())


def broken_links(chain: Iterable[Envelope], last: str) -> str:
    """Says what is wrong with a chain: a step that another builds on is missing, or one that none builds on is there.

    Args:
      chain: The statements beside an artifact.
      last: Digest of the statement of the step that made it.
    """
    try:
        steps = steps_of(chain)
    except ProvenanceError as error:
        return error.found
    reached: set[str] = set()
    waiting = [last]
    while waiting:
        digest = waiting.pop()
        if digest not in steps:
            return f"the statement {digest}, on which others build, is missing or was changed"
        if digest not in reached:
            reached.add(digest)
            waiting.extend(state.step for state in steps[digest].inputs if state.step)
    strangers = sorted(set(steps) - reached)
    return f"the statement {strangers[0]} is of a step on which nothing here builds" if strangers else ""


def steps_of(chain: Iterable[Envelope]) -> dict[str, Step]:
    """Returns the steps of a chain by the digest of their statements.

    Raises:
      ProvenanceError: A statement does not describe a step.
    """
    return {envelope.digest: Step.from_envelope(envelope) for envelope in chain}
