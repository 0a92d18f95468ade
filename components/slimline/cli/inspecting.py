"""Shows what can be done to a model, technique by technique."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from slimline.cli.native_messages import without_native_messages
from slimline.cli.terminal import terminal
from slimline.errors import ModelError

if TYPE_CHECKING:
    from slimline.core.inspection import Preflight

_STYLES = {"applies": "green", "partly": "yellow", "refused": "red"}
# Models of keras.applications have dozens of layers of one kind that stay for one reason.
_MAX_NAMES = 4


def inspect_path(path: Path, custom_objects: str | None, *, as_json: bool) -> None:
    """Loads a model, and prints for each technique what it covers, what it leaves and what rules it out.

    Raises:
      ModelError: There is no model, or it can't be loaded.
    """
    if not path.exists():
        raise ModelError(f"nothing at {path}", "a model's folder or file", "check the path")
    with terminal(stderr=True).status("loading TensorFlow and the model"), without_native_messages():
        from slimline.core.inspection import inspect_model
        from slimline.core.models.loading import load_model

        preflight = inspect_model(load_model(path, custom_objects))
    if as_json:
        print(json.dumps(preflight.to_dict(), indent=1))
    else:
        print_preflight(preflight, terminal())


def print_preflight(preflight: "Preflight", console: Console) -> None:
    """Prints a preflight as a table, and below it the layers that stay and the reasons."""
    console.print(f"{preflight.name}: {preflight.kind}, {preflight.num_parameters:,} parameters", markup=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("technique", "verdict"):
        table.add_column(heading, no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    for finding in preflight.findings:
        verdict = finding.verdict
        table.add_row(finding.technique, f"[{_STYLES[verdict]}]{verdict}[/]", f"{100 * finding.covered_share:.1f}%")
    console.print(table)
    for statement, techniques in _statements(preflight).items():
        console.print(f"{', '.join(techniques)} {statement}", soft_wrap=True, markup=False)


def _statements(preflight: "Preflight") -> dict[str, list[str]]:
    """Returns what is refused or left and why, with the techniques that it holds for."""
    statements: dict[str, list[str]] = {}
    for finding in preflight.findings:
        left: dict[str, list[str]] = {}
        for layer in finding.left:
            left.setdefault(layer.reason, []).append(f"{layer.name} ({layer.type})")
        for text in (
            *(f"refused: {blocker}" for blocker in finding.blockers),
            *(f"leaves {_names(layers)}: {reason}" for reason, layers in left.items()),
        ):
            statements.setdefault(text, []).append(finding.technique)
    return statements


def _names(layers: list[str]) -> str:
    more = f" and {len(layers) - _MAX_NAMES} more" if len(layers) > _MAX_NAMES else ""
    return ", ".join(layers[:_MAX_NAMES]) + more
