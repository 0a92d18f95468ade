"""Calls functions in a process of their own, where a model that crashes or hangs takes nothing else down.

Some TFLite kernels abort the process on a model that they can't run. Python's process pools import the main module
again, which for a pipeline means TFX; here the child imports what the functions need, and nothing else.
"""

import contextlib
import importlib
import os
import pickle
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any, Literal, Self

from slimline.errors import SlimlineError

_MAX_MESSAGE_CHARS = 2_000
_LENGTH = struct.Struct("<Q")
_PIPE_BYTES = 1 << 16
# What C++ says when memory can't be had.
_OUT_OF_MEMORY = ("bad_alloc", "Cannot allocate memory", "out of memory")


class IsolatedError(Exception):
    """The child did not live to the end of a call.

    Attributes:
      reason: `crash`, `time` or `memory`.
      text: What happened, as a phrase.
      output: The end of what the child printed.
    """

    def __init__(self, reason: Literal["crash", "time", "memory"], text: str, output: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.output = output


class IsolatedProcess:
    """A child process that carries out one call after the other, and keeps its modules' state between them.

    Args:
      memory_limit_bytes: Address space that the child may take; no limit when left out.
    """

    def __init__(self, memory_limit_bytes: int | None = None) -> None:
        self._memory_limit_bytes = memory_limit_bytes
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._child = subprocess.Popen(
            [sys.executable, "-m", "slimline.core.isolation", str(memory_limit_bytes or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
        )

    def call(self, function: Callable[..., Any], *arguments: Any, time_limit_s: float) -> Any:
        """Calls a function in the child and returns its result.

        Args:
          function: Of a module, found there by its name.
          arguments: What it is called with; they are pickled, as is the result.
          time_limit_s: Seconds after which the child is ended.

        Raises:
          IsolatedError: The child crashed, or ran into a limit. It can't be called again.
          SlimlineError: The function raised it.
          RuntimeError: The function raised anything else; the message is its traceback.
        """
        self.send(function, *arguments)
        return self.receive(time_limit_s)

    def send(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Begins a call, whose result `receive` gives."""
        assert self._child.stdin is not None
        # Why it died, if it did, is told by `receive`.
        with contextlib.suppress(BrokenPipeError):
            _write_frame(self._child.stdin, pickle.dumps((function.__module__, function.__qualname__, arguments)))

    def receive(self, time_limit_s: float) -> Any:
        """Returns the result of the call that was begun; raises what `call` raises."""
        kind, value = pickle.loads(self._read_frame(time_limit_s))  # noqa: S301 - written by our own child just now
        if kind == "result":
            return value
        if kind == "memory":
            raise self._ended("memory", f"needed more than {self._memory_limit_bytes:,} bytes of memory")
        raise value if isinstance(value, SlimlineError) else RuntimeError(value)

    def close(self) -> None:
        """Ends the child."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout, self._printed):
            if stream is not None and not stream.closed:
                # What is left in the pipe is of no use to anybody.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_frame(self, time_limit_s: float) -> bytes:
        deadline = time.monotonic() + time_limit_s
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline, time_limit_s))
        return self._read(length, deadline, time_limit_s)

    def _read(self, num_bytes: int, deadline: float, time_limit_s: float) -> bytes:
        assert self._child.stdout is not None
        descriptor = self._child.stdout.fileno()
        parts = []
        while num_bytes > 0:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise self._ended("time", f"did not finish in {time_limit_s:g} s")
            part = os.read(descriptor, min(num_bytes, _PIPE_BYTES))
            if not part:
                raise self._crashed()
            parts.append(part)
            num_bytes -= len(part)
        return b"".join(parts)

    def _crashed(self) -> IsolatedError:
        code = self._child.wait()
        text = f"crashed with {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        error = self._ended("crash", text)
        if self._memory_limit_bytes and any(words in error.output for words in _OUT_OF_MEMORY):
            return IsolatedError(
                "memory", f"needed more than {self._memory_limit_bytes:,} bytes of memory", error.output
            )
        return error

    def _ended(self, reason: Literal["crash", "time", "memory"], text: str) -> IsolatedError:
        self._child.kill()
        self._child.wait()
        self._printed.seek(0)
        output = self._printed.read().decode(errors="replace")[-_MAX_MESSAGE_CHARS:].strip()
        return IsolatedError(reason, text, output)


def run_isolated(
    function: Callable[..., Any], *arguments: Any, time_limit_s: float, memory_limit_bytes: int | None = None
) -> Any:
    """Calls one function in a child process of its own; see `IsolatedProcess.call`."""
    with IsolatedProcess(memory_limit_bytes) as process:
        return process.call(function, *arguments, time_limit_s=time_limit_s)


def _write_frame(stream: IO[bytes], content: bytes) -> None:
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def _serve(memory_limit: str) -> None:
    """The child: answers calls until its input ends, which it does when the parent is gone."""
    if memory_limit:
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_limit), int(memory_limit)))
    # Whatever else is printed, by C++ code too, goes where standard error goes.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Nor may anything else read the requests, or wait for input that is none.
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    while header := requests.read(_LENGTH.size):
        request = requests.read(_LENGTH.unpack(header)[0])
        _write_frame(answers, pickle.dumps(_carry_out(request)))


def _carry_out(request: bytes) -> tuple[str, Any]:
    try:
        module, name, arguments = pickle.loads(request)  # noqa: S301 - written by our own parent
        return "result", getattr(importlib.import_module(module), name)(*arguments)
    except SlimlineError as error:
        return "error", error
    except MemoryError:
        return "memory", None
    except Exception:  # noqa: BLE001 - handed on with its traceback
        return "error", traceback.format_exc()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
