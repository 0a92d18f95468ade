"""An append-only list of the steps that ran, each line bound to the one before by its digest.

It stands apart from the store and from the artifacts, and so tells of runs of which both were removed. Lines can't be
changed, left out or put in between without all later ones being written anew: who notes the digest of the last line
elsewhere, as in a commit or a ticket, finds that too.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from slimline.errors import ProvenanceError

LEDGER_VARIABLE = "SLIMLINE_LEDGER"
_START = "sha256:" + "0" * 64
_FIELDS = ("number", "previous", "step", "node", "run", "finished")


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
      number: From 1 on.
      previous: Digest of the line before; zeros for the first.
      step: Digest of the step's statement, as the store has it.
      node: Id of the component.
      run: The runner's name for the run.
      finished: When the step ended: UTC, ISO 8601 with milliseconds.
    """

    number: int
    previous: str
    step: str
    node: str
    run: str
    finished: str

    def to_line(self) -> str:
        """Returns it as JSON; the same entry gives the same line."""
        return json.dumps({name: getattr(self, name) for name in _FIELDS}, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the line, without its end: what `sha256sum` gives for it."""
        return "sha256:" + hashlib.sha256(self.to_line().encode()).hexdigest()


@dataclass(frozen=True)
class Ledger:
    """A ledger as it was read.

    Attributes:
      entries: As far as they can be read.
      problem: Where it is broken; empty when it is whole.
    """

    entries: tuple[Entry, ...]
    problem: str

    @property
    def head(self) -> str:
        """The digest of the last line, to be noted elsewhere; zeros for an empty one."""
        return self.entries[-1].digest if self.entries else _START


def append(path: Path, *, step: str, node: str, run: str, finished: str) -> Entry:
    """Adds a step, after those that other processes add at the same time.

    Args:
      path: The ledger's file; it is made when there is none.
      step: Digest of the statement.
      node: Id of the component.
      run: The runner's name for the run.
      finished: When the step ended.

    Raises:
      ProvenanceError: The file can't be written, or its end is damaged.
    """
    with _opened(path) as stream:
        last = _last(path, stream)
        number, previous = (last.number + 1, last.digest) if last else (1, _START)
        entry = Entry(number, previous, step, node, run, finished)
        stream.seek(0, os.SEEK_END)
        stream.write(entry.to_line().encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return entry


def require_writable(path: Path) -> None:
    """Makes sure that a step can be added later: before hours of training, and not after them.

    Raises:
      ProvenanceError: It can't.
    """
    with _opened(path) as stream:
        _last(path, stream)


def read_ledger(path: Path) -> Ledger:
    """Reads a ledger, and looks whether each line follows from the one before.

    Raises:
      ProvenanceError: There is none.
    """
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise ProvenanceError(
            f"no ledger {path}: {error}", f"the file that {LEDGER_VARIABLE} named in the runs", "check the path"
        ) from None
    return _follow(text.splitlines())


def _follow(lines: Iterable[str]) -> Ledger:
    entries: list[Entry] = []
    previous = _START
    for number, line in enumerate(lines, start=1):
        entry = _parse(line)
        if entry is None:
            return Ledger(tuple(entries), f"line {number} is no entry")
        if entry.number != number or entry.previous != previous:
            return Ledger(tuple(entries), f"line {number} does not follow from the one before")
        entries.append(entry)
        previous = entry.digest
    return Ledger(tuple(entries), "")


def _parse(line: str) -> Entry | None:
    try:
        content = json.loads(line)
        entry = Entry(int(content["number"]), *(str(content[name]) for name in _FIELDS[1:]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # Any other way to write the same would have another digest.
    return entry if entry.to_line() == line else None


def _opened(path: Path) -> IO[bytes]:
    """Opens a ledger for this process alone, until it is closed."""
    try:
        stream = path.open("a+b")
    except OSError as error:
        raise ProvenanceError(
            f"no ledger can be written at {path}: {error}",
            "a local file in a folder that is there",
            f"set {LEDGER_VARIABLE} to another, or leave it out",
        ) from None
    fcntl.flock(stream, fcntl.LOCK_EX)
    return stream


def _last(path: Path, stream: IO[bytes]) -> Entry | None:
    stream.seek(0)
    lines = stream.read().decode(errors="replace").splitlines(keepends=True)
    if not lines:
        return None
    last = _parse(lines[-1].removesuffix("\n")) if lines[-1].endswith("\n") else None
    if last is None:
        raise ProvenanceError(
            f"the ledger {path}, whose last line is no entry",
            "one entry a line",
            "find out who wrote it; move it away to begin a new one",
        )
    return last
