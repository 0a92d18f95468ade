"""The processes of a local run: each in a group of its own, ended as a whole when its time is over or the run's."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from slimline.errors import PipelineError


class LocalProcesses:
    """Processes that are running."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def run(self, command: Sequence[str], environment: Mapping[str, str], log: Path, timeout_s: float | None) -> float:
        """Runs a command to its end.

        Args:
          command: What to run.
          environment: All of its environment.
          log: File that what it prints is added to.
          timeout_s: When it is ended, in seconds; None for never.

        Returns:
          How many seconds it took.

        Raises:
          PipelineError: It did not end with 0, or in time.
        """
        started = time.monotonic()
        with log.open("ab") as stream:
            process = self._start(command, environment, stream.fileno())
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)
            raise PipelineError(
                f"a task that was not done after {timeout_s:.0f} s", "an end before its limit of time", f"read {log}"
            ) from None
        finally:
            with self._lock:
                self._running.discard(process)
        if code:
            raise PipelineError(
                f"code {code}: {_last_line(log)}",
                "a task that ends with 0",
                f"read {log}; the next run goes on from here",
            )
        return time.monotonic() - started

    def end_all(self) -> None:
        """Ends what is running, and starts no more."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            _end(process)

    def _start(self, command: Sequence[str], environment: Mapping[str, str], stream: int) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._ended:
                raise PipelineError("a run that was ended", "a run that goes on", "run it again: it goes on from here")
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    env=dict(environment),
                    start_new_session=True,
                )
            except OSError as error:
                raise PipelineError(
                    f"a command that can't be started: {error}", "a command of this machine", "run it on Kubeflow"
                ) from None
            self._running.add(process)
        return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
