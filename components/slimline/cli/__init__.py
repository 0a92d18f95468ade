"""The command line.

Nothing here imports TensorFlow, TFX or ML Metadata before it must: `slimline --help` answers at once.
"""

import sys

import typer

from slimline.cli.app import app
from slimline.cli.exit_codes import BAD_INPUT, FAILED
from slimline.cli.extras import is_known, missing
from slimline.errors import SlimlineError
from slimline.plain_text import plain
from slimline.running.endings import ProcessFailedError, SignalledError


def main() -> None:
    """Runs the command line; the exit codes are those of `slimline.cli.exit_codes`."""
    try:
        app()
    except SlimlineError as error:
        _complain(str(error), BAD_INPUT)
    except ModuleNotFoundError as error:
        if not is_known(error.name or ""):
            raise
        _complain(str(missing(error.name or "")), BAD_INPUT)
    except SignalledError as error:
        _complain(f"Ended by {error}: what was running is recorded as failed.", FAILED)
    except ProcessFailedError as error:
        _complain(f"Failed: {error}\nThe log with the traceback: {error.log}", FAILED)


def _complain(message: str, code: int) -> None:
    typer.secho(plain(message, keep="\n\t"), fg=typer.colors.RED, err=True)
    sys.exit(code)
