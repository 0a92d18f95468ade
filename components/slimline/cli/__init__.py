"""The command line.

Nothing here imports TensorFlow, TFX or ML Metadata before it must: `slimline --help` answers at once.
"""

import sys

from rich.console import Console

from slimline.cli.app import app
from slimline.cli.exit_codes import BAD_INPUT, FAILED
from slimline.errors import SlimlineError
from slimline.running.process import ProcessFailed


def main() -> None:
    """Runs the command line; the exit codes are those of `slimline.cli.exit_codes`."""
    console = Console(stderr=True, highlight=False)
    try:
        app()
    except SlimlineError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(BAD_INPUT)
    except ProcessFailed as error:
        console.print(f"Failed: {error}\nThe log with the traceback: {error.log}", style="red", markup=False, soft_wrap=True)
        sys.exit(FAILED)
