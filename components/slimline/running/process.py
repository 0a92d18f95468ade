"""Starts the child process and follows it: its own words as events, the run's state through ML Metadata."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from slimline.core.isolation import Event, IsolatedError, IsolatedProcess
from slimline.errors import SlimlineError
from slimline.running.child import carry_out
from slimline.running.endings import ProcessFailedError, SignalledError
from slimline.running.planned_store import record_as_failed
from slimline.running.request import Request

_POLL_SECONDS = 0.25
_STOP_SECONDS = 10.0
# What `poll` has seen is there.
_MESSAGE_SECONDS = 600.0


@dataclass(frozen=True)
class Node:
    """One component as far as is known.

    Attributes:
      state: `waiting`, `running`, `done`, `cached` or `failed`.
      seconds: So far, or altogether.
      text: What the component told last, as the epoch it is in.
    """

    state: str = "waiting"
    seconds: float = 0.0
    text: str = ""


@dataclass(frozen=True)
class Progress:
    """A moment of a run.

    Attributes:
      nodes: Components in their order; empty while TensorFlow and TFX are loading.
      seconds: Since the start.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Finished:
    """What the parent knows after a run.

    Attributes:
      plan: As the child sent it: pipeline, nodes, metadata, after.
      progress: The last moment.
    """

    plan: Mapping[str, Any]
    progress: Progress


def execute(request: Request, log: Path, on_progress: Callable[[Progress], None]) -> Finished:
    """Carries out a request in a child process.

    SIGTERM, SIGINT and SIGHUP to this process end the child, and what was running is recorded as failed.

    Args:
      request: What to do.
      log: File for all that the child prints.
      on_progress: Called about four times a second.

    Raises:
      SlimlineError: The user's mistake that stopped the child.
      ProcessFailedError: Anything else that stopped it.
    """
    started = time.monotonic()
    following = _Following(on_progress, started)
    with _signals_as_exceptions(), IsolatedProcess(log=log) as process:
        try:
            process.send(carry_out, request.to_json())
            while not following.is_over:
                following.step(process)
        except SlimlineError:
            following.end(failed=True)
            raise
        except IsolatedError as error:
            following.end(failed=True)
            raise ProcessFailedError(f"the process that ran the pipeline {error.text}", log) from None
        except RuntimeError as error:
            following.end(failed=True)
            with log.open("a") as stream:
                stream.write(str(error))
            raise ProcessFailedError(str(error).strip().splitlines()[-1], log) from None
        except BaseException:
            process.terminate(_STOP_SECONDS)
            following.end(failed=True)
            raise
    following.end(failed=False)
    return Finished(following.plan, following.progress)


class _Following:
    """What is known of a run while it goes on."""

    def __init__(self, on_progress: Callable[[Progress], None], started: float) -> None:
        self._on_progress = on_progress
        self._started = started
        self._watch: _Watch | None = None
        self.plan: Mapping[str, Any] = {}
        self.progress = Progress()
        self.is_over = False

    def step(self, process: IsolatedProcess) -> None:
        """Takes what the child tells within a quarter of a second, and shows how far it is."""
        if process.poll(_POLL_SECONDS):
            told = process.receive_next(_MESSAGE_SECONDS)
            if isinstance(told, Event):
                self._take(told.value)
            else:
                self.is_over = True
        self._show()

    def _take(self, event: Any) -> None:
        if event["event"] == "plan":
            self.plan, self._watch = event, _Watch(event)
        elif self._watch is not None:
            self._watch.told(event["node"], event["text"])

    def end(self, *, failed: bool) -> None:
        """Says that the run is over; what it left as running is recorded as failed."""
        if self._watch is None:
            return
        if failed:
            record_as_failed(self.plan)
        self._watch.close(failed=failed)
        self._show()

    def _show(self) -> None:
        nodes = self._watch.nodes() if self._watch is not None else {}
        self.progress = Progress(nodes, time.monotonic() - self._started)
        self._on_progress(self.progress)


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Turns signals that end a process at once into an exception, in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SignalledError(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Watch:
    """Asks ML Metadata how far the components are."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        # ML Metadata takes half a second to import: only who runs a pipeline pays for it.
        from slimline.running.planned_store import open_planned_store

        self._plan = plan
        self._store = open_planned_store(plan)
        self._failed: bool | None = None
        self._texts: dict[str, str] = {}

    def told(self, name: str, text: str) -> None:
        """Takes down what a component tells of itself."""
        self._texts[name] = text

    def close(self, *, failed: bool) -> None:
        """Says that the run is over: what still counts as running was broken off."""
        self._failed = failed

    def nodes(self) -> dict[str, Node]:
        from slimline.lineage.runs import find_run, node_states

        run = find_run(self._store, self._plan["pipeline"], self._plan["after"])
        states = node_states(self._store, run) if run else {}
        now = time.time()
        nodes = {}
        for name in self._plan["nodes"]:
            state, text = states.get(name), self._texts.get(name, "")
            if state is None:
                nodes[name] = Node()
            elif state.state in ("NEW", "RUNNING"):
                nodes[name] = Node("failed" if self._failed else "running", now - state.started_s, text)
            else:
                word = {"COMPLETE": "done", "CACHED": "cached"}.get(state.state, "failed")
                nodes[name] = Node(word, state.seconds, text)
        return nodes
