"""Prints a run's outcome for a person."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_outcome(outcome: Mapping[str, Any]) -> None:
    """Prints the table of candidates, and what was pushed or why nothing was."""
    console = Console(highlight=False)
    if not outcome["validated"]:
        console.print(f"Done in {outcome['seconds']:.0f} s. The pipeline has no EdgeValidator.")
        return
    console.print(_table(outcome))
    if outcome["chosen"] is None:
        console.print("[bold red]Nothing was blessed, and nothing was pushed.[/]")
        for candidate in outcome["candidates"]:
            reasons = "; ".join(candidate["reasons"])
            console.print(f"  {escape(candidate['name'])}: {escape(reasons)}", soft_wrap=True)
    elif outcome["pushed_to"] is None:
        console.print(f"[green]Blessed {escape(outcome['chosen'])}.[/] Nothing was pushed.")
    else:
        console.print(f"[green]Pushed {escape(outcome['chosen'])}[/] to {escape(outcome['pushed_to'])}", soft_wrap=True)
        console.print(f"Where it came from: slimline lineage {escape(outcome['pushed_to'])}", soft_wrap=True)
    console.print(f"Done in {outcome['seconds']:.0f} s.")


def _table(outcome: Mapping[str, Any]) -> Table:
    metric = outcome["primary_metric"]
    table = Table(title=f"{outcome['pipeline']}: {outcome['num_examples']} examples", title_justify="left")
    table.add_column("candidate", overflow="fold")
    for heading in ("bytes", "gzip", metric, "drop", "host ms"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    table.add_column("reason", overflow="fold")
    baseline = outcome["baseline"]
    table.add_row("float original", *_figures(baseline, metric, None), "", "", style="dim")
    for candidate in outcome["candidates"]:
        chosen = candidate["name"] == outcome["chosen"]
        verdict = (
            "[green]pass, chosen[/]"
            if chosen
            else "[green]pass[/]"
            if candidate["verdict"] == "pass"
            else "[red]fail[/]"
        )
        figures = _figures(candidate, metric, candidate["drop"].get(metric))
        table.add_row(escape(candidate["name"]), *figures, verdict, escape("; ".join(candidate["reasons"])))
    return table


def _figures(row: Mapping[str, Any], metric: str, drop: float | None) -> list[str]:
    value = row["metrics"].get(metric)
    return [
        _number(row["size_bytes"], ",d"),
        _number(row["gzip_bytes"], ",d"),
        _number(value, ".4f"),
        _number(drop, "+.4f"),
        _number(row["latency_ms"], ".3f"),
    ]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
