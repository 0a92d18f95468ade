"""Content digests: what proves that two files or folders hold the same bytes."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from slimline.errors import ModelError
from slimline.names import file_names


def content_digest(content: bytes) -> str:
    """Returns `sha256:<hex>` of bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """Returns `sha256:<hex>` of a file's bytes."""
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    r"""Returns `sha256:<hex>` of a folder's relative file names and contents.

    It is the SHA-256 of the lines that `sha256sum` prints for the folder's files in byte order of their names, so that
    coreutils can check it:
    `find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -r -d '\n' sha256sum -- | sha256sum`.

    Raises:
      ModelError: The folder has a link, or a name that `sha256sum` would not print as it is.
    """
    for path in folder.rglob("*"):
        if path.is_symlink() or set(path.name) & set("\\\n\r"):
            raise ModelError(
                f"{str(path)!r} in a model's folder, which is a link or has a backslash or line break in its name",
                "plain files with plain names",
                "write the model anew",
            )
    files = sorted((os.fsencode(path.relative_to(folder)), path) for path in folder.rglob("*") if path.is_file())
    return listing_digest((name, file_digest(path)) for name, path in files)


def listing_digest(files: Iterable[tuple[bytes, str]]) -> str:
    """Returns `sha256:<hex>` of the lines that `sha256sum` prints for files.

    Args:
      files: Name and `sha256:<hex>` of each file, in byte order of the names.
    """
    lines = [digest.removeprefix("sha256:").encode() + b"  " + name + b"\n" for name, digest in files]
    return "sha256:" + hashlib.sha256(b"".join(lines)).hexdigest()


def model_digest(path: Path) -> str:
    """Returns the digest that identifies a model, whether given as a file, a pushed folder or an artifact's folder.

    A `.tflite` is identified by its file alone, since that is what an auditor holds; any other model by its whole
    serving folder.

    Raises:
      FileNotFoundError: There is nothing.
      ModelError: It is a pipe or a device, or the folder can't be identified, see `folder_digest`.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        raise ModelError(f"{path}, which is no file and no folder", "a model's file or folder", "check the path")
    serving = path / file_names.SERVING_FOLDER
    folder = serving if serving.is_dir() else path
    tflite = folder / file_names.TFLITE
    return file_digest(tflite) if tflite.is_file() else folder_digest(folder)
