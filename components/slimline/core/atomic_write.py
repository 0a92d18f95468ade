"""Writes a folder beside its place and moves it there when it is complete: nothing half-written is ever seen."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from slimline.errors import PipelineError

# How C and Python word it when a disk, a quota or a limit on files is full; TensorFlow hands the words on.
_NO_SPACE = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Gives a folder to write in, and moves its content to `target` when all went well.

    After an exception nothing of it is at `target`.

    Raises:
      PipelineError: There is no space left, or the folder can't be made.
    """
    staging = target.with_name(f".{target.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise PipelineError(
            f"no folder {target} can be made: {error}", "a place to write to", "choose another"
        ) from error
    try:
        yield staging
        target.mkdir(parents=True, exist_ok=True)
        for path in staging.iterdir():
            path.rename(target / path.name)
    except (OSError, tf.errors.OpError) as error:
        if any(words in str(error) for words in _NO_SPACE):
            raise PipelineError(
                f"no space to write {target}: {error}", "space for the model", "free some, or choose another root"
            ) from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
