"""The parent's side of a child process."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from slimline import errors
from slimline.core.isolation.guard import Guard
from slimline.core.isolation.messages import Event, JunkError, receive_answer, send_request
from slimline.errors import SlimlineError

_MAX_MESSAGE_CHARS = 2_000
_MAX_LOG_BYTES = 64 << 20
# For a child that does not even take its arguments.
_SEND_LIMIT_S = 600.0
_EXIT_LIMIT_S = 10.0
# What C++ says when memory can't be had.
_OUT_OF_MEMORY = ("bad_alloc", "Cannot allocate memory", "out of memory")
_KINDS = {
    kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SlimlineError)
}

Reason = Literal["crash", "time", "memory"]


class IsolatedError(Exception):
    """The child did not live to the end of a call, or what it sent is no answer.

    Attributes:
      reason: `crash`, `time` or `memory`.
      text: What happened, as a phrase.
      output: The end of what the child printed.
    """

    def __init__(self, reason: Reason, text: str, output: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.output = output


class IsolatedProcess:
    """A child process that carries out one call after the other, and keeps its modules' state between them.

    Args:
      memory_limit_bytes: Address space that the child may take; no limit when left out.
      log: File for what the child prints, up to 64 MiB; only the end is kept when left out.
    """

    def __init__(self, memory_limit_bytes: int | None = None, log: Path | None = None) -> None:
        self._memory_limit_bytes = memory_limit_bytes
        self._function: Callable[..., Any] = print
        self._dead: IsolatedError | None = None
        self._is_closed = False
        stream = log.open("wb") if log is not None else None
        # Its temporary files go with it, however it ends.
        self._folder = tempfile.mkdtemp(prefix="slimline-child-")
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._child = _starter.submit(self._start, theirs.fileno()).result()
        self._connection = Connection(os.dup(self._socket.fileno()))
        assert self._child.stdout is not None
        self._guard = Guard(self._child.stdout, self._socket, stream, _MAX_LOG_BYTES)

    def _start(self, descriptor: int) -> "subprocess.Popen[bytes]":
        limit = str(self._memory_limit_bytes or "")
        return subprocess.Popen(
            [sys.executable, "-m", "slimline.core.isolation.child", str(descriptor), str(os.getpid()), limit],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=[descriptor],
            env={**os.environ, "TMPDIR": self._folder, "PYTHONUNBUFFERED": "1"},
            # So that what it starts ends with it.
            process_group=0,
        )

    def call(self, function: Callable[..., Any], *arguments: Any, time_limit_s: float) -> Any:
        """Calls a function in the child and returns its result.

        Args:
          function: Of a module, found there by its name.
          arguments: What it is called with; they are pickled. Arrays can't be written to in the child.
          time_limit_s: Seconds after which the child is ended.

        Returns:
          Plain data, arrays and dataclasses; these only where the function's annotation names them, and whatever the
          annotation says holds.

        Raises:
          IsolatedError: The child crashed, sent what is no answer, or ran into a limit. It can't be called again.
          SlimlineError: The function raised it.
          RuntimeError: The function raised anything else; the message is its traceback.
        """
        self.send(function, *arguments)
        return self.receive(time_limit_s)

    def send(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Begins a call, whose result `receive` gives."""
        self._function = function
        self._guard.deadline_s = time.monotonic() + _SEND_LIMIT_S
        # Why it died, if it did, is told by `receive`.
        with contextlib.suppress(ConnectionError, OSError):
            send_request(self._connection, function, arguments)
        self._guard.deadline_s = float("inf")

    def receive(self, time_limit_s: float) -> Any:
        """Returns the result of the call that was begun; raises what `call` raises. Events are passed over."""
        deadline_s = time.monotonic() + time_limit_s
        while True:
            found = self._receive(deadline_s, time_limit_s)
            if not isinstance(found, Event):
                return found

    def poll(self, timeout_s: float) -> bool:
        """Returns whether `receive_next` would find something, after waiting that long at most."""
        return self._dead is not None or self._connection.poll(timeout_s)

    def receive_next(self, time_limit_s: float) -> Any:
        """Returns the next `Event`, or the result; raises what `call` raises."""
        return self._receive(time.monotonic() + time_limit_s, time_limit_s)

    def terminate(self, time_limit_s: float) -> None:
        """Asks the child to end (SIGTERM), and waits; `close` ends what is left after the limit."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self._child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(time_limit_s)

    def close(self) -> None:
        """Ends the child and what it started, and removes its temporary files."""
        if self._is_closed:
            return
        self._is_closed = True
        self._kill()
        self._guard.close()
        self._connection.close()
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self, deadline_s: float, time_limit_s: float) -> Any:
        if self._dead is not None:
            raise self._dead
        late = f"did not finish in {time_limit_s:g} s"
        try:
            if not self._connection.poll(max(0.0, deadline_s - time.monotonic())):
                raise self._ended("time", late)
            self._guard.deadline_s = deadline_s
            answer = receive_answer(self._connection, self._function)
        except (EOFError, OSError):
            raise self._ended("time", late) if time.monotonic() > deadline_s else self._crashed() from None
        except JunkError as error:
            raise self._ended("crash", f"sent what is no answer ({str(error)[:200]})") from error
        finally:
            self._guard.deadline_s = float("inf")
        if answer.kind == "result":
            return answer.value
        if answer.kind == "event":
            return Event(answer.value)
        if answer.kind == "memory":
            raise self._ended("memory", f"needed more than {self._memory_limit_bytes or 0:,} bytes of memory")
        raise self._error(answer.kind, answer.value)

    def _error(self, kind: str, value: Any) -> Exception:
        if kind == "bug" and isinstance(value, str):
            return RuntimeError(value)
        is_plain = isinstance(value, list) and len(value) == 4 and all(isinstance(part, str) for part in value)
        if kind != "error" or not is_plain or value[0] not in _KINDS:
            return self._ended("crash", "sent what is no answer (an error of no known kind)")
        return _KINDS[value[0]](*value[1:])

    def _crashed(self) -> IsolatedError:
        try:
            code = self._child.wait(_EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            return self._ended("crash", "ended its connection")
        error = self._ended("crash", f"crashed with {_signal_name(-code)}" if code < 0 else f"ended with code {code}")
        if self._memory_limit_bytes and any(words in error.output for words in _OUT_OF_MEMORY):
            text = f"needed more than {self._memory_limit_bytes:,} bytes of memory"
            self._dead = IsolatedError("memory", text, error.output)
            return self._dead
        return error

    def _ended(self, reason: Reason, text: str) -> IsolatedError:
        self._kill()
        self._guard.close()
        self._dead = IsolatedError(reason, text, self._guard.tail()[-_MAX_MESSAGE_CHARS:].strip())
        return self._dead

    def _kill(self) -> None:
        if self._child.returncode is not None:
            return
        # The group lives on while anything that the child started does.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.kill()
        self._child.wait()


def run_isolated(
    function: Callable[..., Any], *arguments: Any, time_limit_s: float, memory_limit_bytes: int | None = None
) -> Any:
    """Calls one function in a child process of its own; see `IsolatedProcess.call`."""
    with IsolatedProcess(memory_limit_bytes) as process:
        return process.call(function, *arguments, time_limit_s=time_limit_s)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Real-time signals have none, but for the first and the last.
        return f"signal {number}"


def _new_starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="slimline-starter")


def _renew_starter() -> None:
    global _starter
    _starter = _new_starter()


# A child's "parent" is, to the kernel, the thread that started it: this one lives as long as the process does, while
# those of Beam's workers come and go.
_starter = _new_starter()
os.register_at_fork(after_in_child=_renew_starter)
