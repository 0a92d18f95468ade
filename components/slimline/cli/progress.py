"""Shows a run while it goes: one line per component."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

from slimline.cli.terminal import terminal
from slimline.errors import PipelineError
from slimline.running.process import Node, Progress, execute
from slimline.running.request import Request

_STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "cached": "blue", "failed": "bold red"}
_SYMBOLS = {"waiting": "·", "done": "✓", "cached": "=", "failed": "✗"}


def follow(request: Request, folder: Path) -> dict[str, Any]:
    """Runs a pipeline, shows its progress on standard error and returns its outcome.

    Raises:
      PipelineError: The folder can't be written to.
    """
    from slimline.running.outcome import describe

    _check_writable(folder)
    log = folder / "logs" / f"run-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    console = terminal(stderr=True)
    console.print(f"Pipeline {request.pipeline} in {folder}", soft_wrap=True, markup=False)
    console.print(f"TensorFlow's and TFX's own messages: {log}", soft_wrap=True, markup=False)
    view: _Screen | _Lines = _Screen(console) if console.is_terminal else _Lines(console)
    with view:
        finished = execute(request, log, view.show)
    return describe(finished, log)


class _Screen:
    """Draws all components anew, for a terminal."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8)
        self._spinner = Spinner("dots", style="cyan")

    def __enter__(self) -> "_Screen":
        self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._live.__exit__(*exception)

    def show(self, progress: Progress) -> None:
        table = Table.grid(padding=(0, 2))
        if not progress.nodes:
            table.add_row(
                self._spinner, f"loading TensorFlow and TFX, {progress.seconds:.0f} s (half a minute is usual)"
            )
        for name, node in progress.nodes.items():
            symbol = self._spinner if node.state == "running" else _SYMBOLS[node.state]
            table.add_row(symbol, name, node.state, _duration(node), escape(node.text), style=_STYLES[node.state])
        self._live.update(table)


class _Lines:
    """Writes a line when something changes, for a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def __enter__(self) -> "_Lines":
        self._console.print("loading TensorFlow and TFX, half a minute is usual")
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def show(self, progress: Progress) -> None:
        for name, node in progress.nodes.items():
            if node.state != self._states.get(name, "waiting"):
                self._states[name] = node.state
                self._print(progress, f"{name}: {node.state} {_duration(node)}".rstrip())
            if node.text and node.text != self._texts.get(name):
                self._texts[name] = node.text
                self._print(progress, f"{name}: {node.text}")

    def _print(self, progress: Progress, line: str) -> None:
        self._console.print(f"{progress.seconds:5.0f} s  {line}", markup=False, soft_wrap=True)


def _duration(node: Node) -> str:
    return "" if node.state in ("waiting", "cached") else f"{node.seconds:.1f} s"


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PipelineError(
            f"{folder}, where nothing can be written: {error.strerror}",
            "a folder that can be made and written to",
            "give another one with --root",
        ) from None
