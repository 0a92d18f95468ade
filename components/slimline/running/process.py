"""Starts the child process and follows it: its own words through a pipe, the run's state through ML Metadata."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimline import errors
from slimline.running.request import Request

_POLL_SECONDS = 0.25
_STOP_SECONDS = 10.0


class ProcessFailedError(Exception):
    """The child ended without doing its work, for a reason that is no mistake of the user's.

    Args:
      message: The last line of the traceback, or how the process ended.
      log: Where the traceback is.
    """

    def __init__(self, message: str, log: Path) -> None:
        super().__init__(message)
        self.log = log


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

    Args:
      request: What to do.
      log: File for all that the child prints.
      on_progress: Called about four times a second.

    Raises:
      SlimlineError: The user's mistake that stopped the child.
      ProcessFailedError: Anything else that stopped it.
    """
    started = time.monotonic()
    plan: Mapping[str, Any] = {}
    progress = Progress()
    ending: Mapping[str, Any] | None = None
    with log.open("w") as stream, _start(request, stream) as child:
        try:
            events = _listen(child)
            watch: _Watch | None = None
            while (event := _next(events)) is not _CLOSED:
                if event and event["event"] == "plan":
                    plan, watch = event, _Watch(event)
                elif event and event["event"] == "progress" and watch:
                    watch.told(event["node"], event["text"])
                elif event:
                    ending = event
                progress = Progress(watch.nodes() if watch else {}, time.monotonic() - started)
                on_progress(progress)
        except BaseException:
            _stop(child)
            raise
        code = child.wait()
        if watch:
            watch.close(failed=ending is None or ending["event"] == "error")
            progress = Progress(watch.nodes(), time.monotonic() - started)
            on_progress(progress)
    _raise_error(ending, code, log)
    return Finished(plan, progress)


def _start(request: Request, log: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "slimline.running.child", request.to_json()]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
    )


def _stop(child: "subprocess.Popen[str]") -> None:
    child.terminate()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


_CLOSED: Mapping[str, Any] = {"event": "closed"}


def _listen(child: "subprocess.Popen[str]") -> "queue.Queue[Mapping[str, Any]]":
    """Reads the child's events in a thread, so that waiting for them does not stop the clock on the screen."""
    events: queue.Queue[Mapping[str, Any]] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            events.put(json.loads(line))
        events.put(_CLOSED)

    threading.Thread(target=read, daemon=True).start()
    return events


def _next(events: "queue.Queue[Mapping[str, Any]]") -> Mapping[str, Any]:
    try:
        return events.get(timeout=_POLL_SECONDS)
    except queue.Empty:
        return {}


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


def _raise_error(ending: Mapping[str, Any] | None, code: int, log: Path) -> None:
    if ending is None:
        raise ProcessFailedError(f"the process that ran the pipeline ended with code {code}", log)
    if ending["event"] == "error":
        if ending["kind"]:
            raise getattr(errors, ending["kind"])(*ending["parts"])
        raise ProcessFailedError(ending["parts"][0], log)
