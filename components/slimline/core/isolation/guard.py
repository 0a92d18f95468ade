"""Watches over a child from the parent: keeps the end of what it prints, and ends its connection when it is late."""

import os
import select
import socket
import threading
import time
from typing import IO

_TAIL_BYTES = 64 << 10
_PART_BYTES = 64 << 10
_TICK_S = 0.2


class Guard:
    """A thread that drains what a child prints, so that a child can neither wait for that nor fill the disk.

    Args:
      printed: Where the child's output arrives; closed in the end.
      connection: Shut down when `deadline_s` passes: whoever reads from it or writes to it then gets its end.
      log: Takes the output too; None to keep its end only.
      log_limit_bytes: Most that is written to the log. What is left out is said there, and its end follows.

    Attributes:
      deadline_s: On the monotonic clock; infinite while nobody waits.
    """

    def __init__(
        self, printed: IO[bytes], connection: socket.socket, log: IO[bytes] | None, log_limit_bytes: int
    ) -> None:
        self.deadline_s = float("inf")
        self._printed = printed
        self._connection = connection
        self._log = log
        self._left_bytes = log_limit_bytes
        self._limit_bytes = log_limit_bytes
        self._tail = bytearray()
        self._is_over = False
        self._thread = threading.Thread(target=self._watch, daemon=True, name="slimline-guard")
        self._thread.start()

    def tail(self) -> str:
        """Returns the end of what was printed so far."""
        return bytes(self._tail).decode(errors="replace")

    def close(self, wait_s: float = 1.0) -> None:
        """Takes what is still there and ends; a process that inherited the output and lives on is not waited for."""
        self._thread.join(wait_s)
        self._is_over = True
        self._thread.join()

    def _watch(self) -> None:
        descriptor = self._printed.fileno()
        while not self._is_over:
            ready, _, _ = select.select([descriptor], [], [], _TICK_S)
            if ready:
                part = os.read(descriptor, _PART_BYTES)
                if not part:
                    break
                self._take(part)
            if time.monotonic() > self.deadline_s:
                self.deadline_s = float("inf")
                _shut(self._connection)
        # The deadline counts on when the child has closed its output.
        while not self._is_over and self.deadline_s != float("inf"):
            time.sleep(_TICK_S)
            if time.monotonic() > self.deadline_s:
                _shut(self._connection)
                break
        self._printed.close()
        if self._log is not None:
            if not self._left_bytes:
                self._log.write(bytes(self._tail))
            self._log.close()

    def _take(self, part: bytes) -> None:
        self._tail += part
        del self._tail[:-_TAIL_BYTES]
        if self._log is None or not self._left_bytes:
            return
        self._log.write(part[: self._left_bytes])
        self._left_bytes -= min(len(part), self._left_bytes)
        if not self._left_bytes:
            self._log.write(
                f"\n[Over {self._limit_bytes:,} bytes: what follows is left out, but for its end.]\n".encode()
            )
        self._log.flush()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The child's end was closed first.
        return
