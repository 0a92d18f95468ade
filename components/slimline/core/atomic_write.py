"""Writes beside the place and moves there what is complete: nothing half-written is ever seen.

What is written first has a name of its own each time, so that two writers never touch one another's.
"""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from slimline.errors import PipelineError

# How C and Python word it when a disk, a quota or a limit on files is full; TensorFlow hands the words on.
_NO_SPACE = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
# File systems end names at 255 bytes, and a character may take four.
_MAX_NAME_CHARS = 40
# No model or page takes a day to write.
_ABANDONED_S = 24 * 3600


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Gives a folder to write in, and moves its content to `target` when all went well.

    After an exception nothing of it is at `target`.

    Raises:
      PipelineError: There is no space left, the folder can't be made, or another process wrote it meanwhile.
    """
    staging = _staging(target)
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise PipelineError(
            f"no folder {target} can be made: {error}", "a place to write to", "choose another"
        ) from error
    try:
        with _space_for(target):
            yield staging
            _move(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_file(target: Path, content: bytes) -> None:
    """Writes a file, or leaves the one that is there as it is.

    Raises:
      PipelineError: There is no folder for it, or no space left.
    """
    if not target.parent.is_dir():
        raise PipelineError(f"no folder {target.parent} to write {target.name} in", "a folder", "make it first")
    if target.exists() and not target.is_file():
        # A pipe or a device, which is written to and not replaced.
        with _space_for(target):
            target.write_bytes(content)
        return
    # What a link leads to is replaced, and not the link.
    target = target.resolve()
    staging = _staging(target)
    try:
        with _space_for(target):
            with staging.open("xb") as stream:
                stream.write(content)
                # Some file systems find out only now that they are full.
                os.fsync(stream.fileno())
            staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)


def _staging(target: Path) -> Path:
    """Returns a place beside the target that is nobody's, and removes what writers that were killed long ago left."""
    name = f".{target.name[:_MAX_NAME_CHARS]}"
    siblings = list(target.parent.glob(f"{escape(name)}.*.partial")) if target.parent.is_dir() else []
    for left in siblings:
        with suppress(OSError):
            if time.time() - left.lstat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return target.with_name(f"{name}.{secrets.token_hex(8)}.partial")


def _move(staging: Path, target: Path) -> None:
    if target.exists():
        for path in staging.iterdir():
            path.rename(target / path.name)
        return
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise PipelineError(
            f"{target}, which another process wrote meanwhile", "a folder of this run alone", "choose another"
        ) from error


@contextmanager
def _space_for(target: Path) -> Iterator[None]:
    try:
        yield
    # TensorFlow's errors are no OSErrors, and to import it for their sake would take seconds.
    except Exception as error:
        if isinstance(error, PipelineError) or not any(words in str(error) for words in _NO_SPACE):
            raise
        raise PipelineError(
            f"no space to write {target}: {error}", "space for it", "free some, or choose another place"
        ) from error
