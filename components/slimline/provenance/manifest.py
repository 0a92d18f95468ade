"""The files of an artifact, each with its digest, and one digest for all of them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline.core.digest import file_digest, listing_digest

# Written beside what they describe, and so in no manifest: steps of the past, see `slimline.provenance.chain`.
CHAIN_FILE = "steps.jsonl"


@dataclass(frozen=True)
class FileEntry:
    """One file.

    Attributes:
      path: Relative to the artifact's folder, with slashes.
      digest: `sha256:<hex>` of its bytes.
      size_bytes: Their number.
      is_link: Whether the file is a link, whose target was read.
    """

    path: str
    digest: str
    size_bytes: int
    is_link: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        plain = {"path": self.path, "digest": self.digest, "size_bytes": self.size_bytes}
        return {**plain, "is_link": True} if self.is_link else plain


@dataclass(frozen=True)
class Manifest:
    """All files of an artifact, in byte order of their paths."""

    files: tuple[FileEntry, ...]

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the lines that `sha256sum` prints for the files (see `folder_digest`)."""
        return listing_digest((os.fsencode(entry.path), entry.digest) for entry in self.files)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size_bytes for entry in self.files)

    def by_path(self) -> Mapping[str, FileEntry]:
        """Returns the files by path."""
        return {entry.path: entry for entry in self.files}


def manifest_of(place: Path) -> Manifest:
    """Reads all files of a folder, or the one file that `place` is; a missing place has none.

    Links to folders are not followed. A link to nowhere counts as a file without bytes and without a digest.
    """
    if place.is_file():
        return Manifest((_entry(place.parent, place),))
    return make_manifest(_entry(place, path) for path in _files(place))


def make_manifest(entries: Iterable[FileEntry]) -> Manifest:
    """Returns a manifest of files in any order, without the chain that describes them."""
    listed = [entry for entry in entries if entry.path.rpartition("/")[2] != CHAIN_FILE]
    return Manifest(tuple(sorted(listed, key=lambda entry: os.fsencode(entry.path))))


def _files(folder: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(folder):
        linked = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in (*names, *linked))


def _entry(folder: Path, path: Path) -> FileEntry:
    relative = path.relative_to(folder).as_posix()
    if not path.is_file():
        return FileEntry(relative, "", 0, path.is_symlink())
    return FileEntry(relative, file_digest(path), path.stat().st_size, path.is_symlink())
