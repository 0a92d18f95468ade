"""Takes what native code prints to a descriptor: some compilers and interpreters tell their figures in no other way."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def captured(*descriptors: int) -> Iterator[list[str]]:
    """Gives a list that holds the captured text, as its one item, once the context has ended.

    Args:
      descriptors: 1 for standard output, 2 for standard error. Their order of writing is kept.
    """
    lines: list[str] = []
    with tempfile.TemporaryFile() as stream:
        sys.stdout.flush()
        sys.stderr.flush()
        saved = [(descriptor, os.dup(descriptor)) for descriptor in descriptors]
        for descriptor in descriptors:
            os.dup2(stream.fileno(), descriptor)
        try:
            yield lines
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in saved:
                os.dup2(copy, descriptor)
                os.close(copy)
            stream.seek(0)
            lines.append(stream.read().decode(errors="replace"))
