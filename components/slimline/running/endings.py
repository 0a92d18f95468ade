"""How a run can end that is no mistake of the user's; nothing heavy is imported here."""

from pathlib import Path


class ProcessFailedError(Exception):
    """The child ended without doing its work, for a reason that is no mistake of the user's.

    Args:
      message: The last line of the traceback, or how the process ended.
      log: Where the traceback is.
    """

    def __init__(self, message: str, log: Path) -> None:
        super().__init__(message)
        self.log = log


class SignalledError(BaseException):
    """A signal asked this process to end; it ends as after Ctrl-C, so that nothing is left behind."""
