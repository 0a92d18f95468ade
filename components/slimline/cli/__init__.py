"""The command line.

Nothing here imports TensorFlow, TFX or ML Metadata before it must: `slimline --help` answers at once.
"""

import errno
import os
import sys

import typer

from slimline.cli.app import app
from slimline.cli.exit_codes import BAD_INPUT, FAILED
from slimline.cli.extras import is_known, missing
from slimline.errors import SlimlineError
from slimline.plain_text import plain
from slimline.running.endings import ProcessFailedError, SignalledError

# What only the place that somebody gave can bring about.
_OF_PLACES = {
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
}


def main() -> None:
    """Runs the command line; the exit codes are those of `slimline.cli.exit_codes`."""
    try:
        try:
            app()
        finally:
            # Here, where it can still be told that nobody got the verdict.
            sys.stdout.flush()
    except SlimlineError as error:
        _complain(str(error), BAD_INPUT)
    except ModuleNotFoundError as error:
        if not is_known(error.name or ""):
            raise
        _complain(str(missing(error.name or "")), BAD_INPUT)
    except OSError as error:
        if error.errno not in _OF_PLACES:
            raise
        _drop_output()
        _complain(f"Found: {_place(error)}\nExpected: a place that can be used\nTo do: choose another", BAD_INPUT)
    except SignalledError as error:
        _complain(f"Ended by {error}: what was running is recorded as failed.", FAILED)
    except ProcessFailedError as error:
        _complain(f"Failed: {error}\nThe log with the traceback: {error.log}", FAILED)


def _place(error: OSError) -> str:
    return f"{error.filename or 'standard output'}: {error.strerror}"


def _drop_output() -> None:
    """Lets what standard output does not take go nowhere: Python would try once more as it ends, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, code: int) -> None:
    typer.secho(plain(message, keep="\n\t"), fg=typer.colors.RED, err=True)
    sys.exit(code)
