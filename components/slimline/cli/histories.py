"""Prints what was pushed to a place."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from slimline.cli.terminal import terminal
from slimline.cli.tracing import store_options
from slimline.errors import LineageError
from slimline.lineage.history import Push, State, history_of
from slimline.lineage.store import open_named
from slimline.names import metadata_keys

_COLORS = {State.AS_PUSHED: "green", State.CHANGED: "red", State.GONE: "dim", State.UNKNOWN: "yellow"}


def print_history(destination: Path, metadata: str | None, host: str | None, *, as_json: bool) -> None:
    """Prints a table, or one JSON object.

    Raises:
      LineageError: There is no store, or nothing was ever pushed there.
    """
    opened = open_named(metadata, host, destination)
    history = history_of(opened.store, destination, opened.folder)
    if not history.pushes:
        raise LineageError(
            f"no push to {destination} in {opened.name}",
            "a serving folder that a recorded Pusher wrote to",
            "check the folder, and --metadata",
        )
    if as_json:
        unrecorded = [str(place) for place in history.unrecorded]
        pushes = [push.to_dict() for push in history.pushes]
        print(json.dumps({"metadata": opened.name, "pushes": pushes, "unrecorded": unrecorded}, indent=1))
        return
    console = terminal()
    table = Table("pushed (UTC)", "to", "run", "model", "chosen", "figures", "now", box=None, pad_edge=False)
    for push in history.pushes:
        table.add_row(*(escape(text) for text in _cells(push)), f"[{_COLORS[push.state]}]{push.state}[/]")
    console.print(table)
    for place in history.unrecorded:
        console.print(f"{place} was pushed by no recorded run", soft_wrap=True, markup=False)
    command = ["slimline", "lineage", str(history.pushes[-1].place), *store_options(opened)]
    console.print(f"Where the last one came from: {shlex.join(command)}", soft_wrap=True, markup=False)


def _cells(push: Push) -> list[str]:
    when = datetime.fromtimestamp(push.execution.updated_ms / 1e3, UTC) if push.execution else None
    properties = push.model.properties if push.model else {}
    figures = [
        f"{name.removeprefix(metadata_keys.METRIC_PREFIX)} {_rounded(value)}"
        for name, value in properties.items()
        if name.startswith(metadata_keys.METRIC_PREFIX)
    ]
    return [
        f"{when:%Y-%m-%d %H:%M:%S}" if when else "?",
        str(push.place),
        push.run or "?",
        f"{push.model.type} {push.model.id}" if push.model else "?",
        str(properties.get(metadata_keys.CHOSEN) or ("" if push.blessing else "no gate")),
        ", ".join(figures),
    ]


def _rounded(value: object) -> str:
    try:
        return f"{float(str(value)):.4g}"
    except ValueError:
        return str(value)
