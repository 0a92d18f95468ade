"""Calls functions in a process of their own, where a model that crashes or hangs takes nothing else down.

Some TFLite kernels abort the process on a model that they can't run. Python's process pools import the main module
again, which for a pipeline means TFX; here the child imports what the function needs, and nothing else.
"""

import importlib
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slimline.errors import SlimlineError

_MAX_MESSAGE_CHARS = 2_000


class IsolatedError(Exception):
    """The child did not live to the end.

    Attributes:
      reason: `crash`, `time` or `memory`.
      text: What happened, as a phrase.
      output: The end of what the child printed.
    """

    def __init__(self, reason: str, text: str, output: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.output = output


def run_isolated(
    function: Callable[..., Any], *arguments: Any, time_limit_s: float, memory_limit_bytes: int | None = None
) -> Any:
    """Calls a function in a child process and returns its result.

    Args:
      function: Of a module, found there by its name.
      arguments: What it is called with; they are pickled, as is the result.
      time_limit_s: Seconds after which the child is ended.
      memory_limit_bytes: Address space that the child may take; no limit when left out.

    Raises:
      IsolatedError: The child crashed, or ran into a limit.
      SlimlineError: The function raised it.
      RuntimeError: The function raised anything else; the message is its traceback.
    """
    with tempfile.TemporaryDirectory() as folder:
        request, answer, printed = (Path(folder) / name for name in ("request", "answer", "printed"))
        request.write_bytes(pickle.dumps((function.__module__, function.__qualname__, arguments, memory_limit_bytes)))
        command = [sys.executable, "-m", "slimline.core.isolation", str(request), str(answer)]
        with printed.open("wb") as stream:
            try:
                child = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, timeout=time_limit_s, check=False
                )
            except subprocess.TimeoutExpired:
                raise IsolatedError("time", f"did not finish in {time_limit_s:g} s", _end_of(printed)) from None
        if child.returncode or not answer.exists():
            raise IsolatedError("crash", _describe_end(child.returncode), _end_of(printed))
        kind, value = pickle.loads(answer.read_bytes())  # noqa: S301 - written by our own child just now
    if kind == "result":
        return value
    if kind == "memory":
        raise IsolatedError("memory", f"needed more than {memory_limit_bytes} bytes of memory")
    raise value if isinstance(value, SlimlineError) else RuntimeError(value)


def _describe_end(code: int) -> str:
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _end_of(printed: Path) -> str:
    return printed.read_text(errors="replace")[-_MAX_MESSAGE_CHARS:].strip()


def _main(request: str, answer: str) -> None:
    module, name, arguments, memory_limit_bytes = pickle.loads(Path(request).read_bytes())  # noqa: S301
    if memory_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit_bytes, memory_limit_bytes))
    outcome: tuple[str, Any]
    try:
        outcome = ("result", getattr(importlib.import_module(module), name)(*arguments))
    except SlimlineError as error:
        outcome = ("error", error)
    except MemoryError:
        outcome = ("memory", None)
    except Exception:  # noqa: BLE001 - handed on with its traceback
        outcome = ("error", traceback.format_exc())
    Path(answer).write_bytes(pickle.dumps(outcome))


if __name__ == "__main__":
    _main(*sys.argv[1:])
