"""The child: `python -m slimline.core.isolation.child CONNECTION PARENT MEMORY_LIMIT`.

It answers calls until its connection ends, which it does when the parent is gone; a parent that is gone while a call
runs ends it too (`prctl(2)`, PR_SET_PDEATHSIG; on Linux).
"""

import ctypes
import importlib
import os
import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

_PR_SET_PDEATHSIG = 1
_MAX_TRACEBACK_CHARS = 100_000

_connections: list[Connection] = []


def tell(value: Any) -> None:
    """Sends an event to the parent while a call runs; plain data only."""
    from slimline.core.isolation.messages import send_answer

    send_answer(_connections[0], "event", value)


def main(connection: str, parent: str, memory_limit: str) -> None:
    """Serves one parent."""
    _die_with(int(parent))
    os.set_inheritable(int(connection), False)
    if memory_limit:
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_limit), int(memory_limit)))
    # As a module of its own name, not as `__main__`: `tell` of the functions must find the connection.
    importlib.import_module("slimline.core.isolation.child").serve(Connection(int(connection)))


def serve(connection: Connection) -> None:
    """Answers calls until the connection ends."""
    from slimline.core.isolation.messages import receive_request, send_answer

    _connections[:] = [connection]
    while True:
        try:
            request = receive_request(connection)
        except (EOFError, ConnectionError):
            return
        except Exception:  # noqa: BLE001 - an argument's module that can't be imported, for one
            send_answer(connection, "bug", traceback.format_exc()[-_MAX_TRACEBACK_CHARS:])
            continue
        kind, value = _carry_out(*request)
        try:
            send_answer(connection, kind, value)
        except TypeError:
            send_answer(connection, "bug", traceback.format_exc())


def _carry_out(module: str, name: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    from slimline.errors import SlimlineError

    try:
        return "result", getattr(importlib.import_module(module), name)(*arguments)
    except SlimlineError as error:
        return "error", [type(error).__name__, error.found, error.expected, error.remedy]
    except MemoryError:
        return "memory", None
    except Exception:  # noqa: BLE001 - handed on with its traceback
        return "bug", traceback.format_exc()[-_MAX_TRACEBACK_CHARS:]


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have gone before.
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
