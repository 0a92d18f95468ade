"""Prints how two models came about differently."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from slimline.cli.terminal import terminal
from slimline.cli.tracing import TraceArguments, find_subject
from slimline.errors import ProvenanceError
from slimline.lineage.differences import Side, differences
from slimline.lineage.graph import trace
from slimline.provenance.chain import read_chain, steps_of

_MAX_VALUE_CHARS = 80


def print_differences(one: Path, other: Path, metadata: str | None, host: str | None, *, as_json: bool) -> None:
    """Prints a table, or one JSON object."""
    sides = [_side(path, metadata, host) for path in (one, other)]
    found = differences(*sides)
    if as_json:
        ids = [side.lineage.artifact_id for side in sides]
        print(json.dumps({"artifacts": ids, "differences": [difference.to_dict() for difference in found]}, indent=1))
        return
    console = terminal()
    if not found:
        console.print(f"{one} and {other} came about in the same way", soft_wrap=True, markup=False)
        return
    table = Table("step", "", "name", str(one), str(other), box=None, pad_edge=False)
    for difference in found:
        values = (_shorten(value) for value in (difference.one, difference.other))
        table.add_row(*(escape(text) for text in (difference.step, difference.kind, difference.name, *values)))
    console.print(table)


def _side(path: Path, metadata: str | None, host: str | None) -> Side:
    opened, found = find_subject(TraceArguments(path, None, metadata, host, is_downstream=False))
    return Side(trace(opened.store, found.artifact.id), _environments(path))


def _environments(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Returns what each step ran with, as the statements tell it that travel with a model."""
    folder = path if path.is_dir() else path.parent
    for place in (folder, folder.parent):
        try:
            steps = steps_of(read_chain(place)).values()
        except ProvenanceError:
            continue
        if steps:
            return {step.node: step.environment for step in steps}
    return {}


def _shorten(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}… ({len(text)} characters)"
