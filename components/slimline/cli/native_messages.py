"""Keeps what TensorFlow's C++ code prints off the screen."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_native_messages() -> Iterator[None]:
    """Silences standard error at the level of the operating system, which no setting of Python reaches.

    Errors are raised, not printed, and so come through.
    """
    saved = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
