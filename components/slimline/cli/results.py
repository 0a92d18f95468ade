"""Prints a run's outcome for a person."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slimline.cli.terminal import terminal
from slimline.plain_text import plain_values
from slimline.report import summary

# Narrower than this, the reasons stand below the table.
_WIDE = 130
_MAX_REASONS = 4
_MAX_MISSED = 20
_VERDICTS = {"pass": "[green]pass[/]", "fail": "[red]fail[/]", "undecided": "[yellow]undecided[/]"}


def print_outcome(outcome: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints the table of candidates, and what was pushed or why nothing was; on standard output unless told else."""
    console, outcome = console or terminal(), plain_values(outcome)
    if not outcome["validated"]:
        console.print(f"Done in {outcome['seconds']:.0f} s. The pipeline has no EdgeValidator.")
        return
    print_evaluation(outcome, outcome["pipeline"], console)
    if outcome["chosen"] is None:
        console.print("[bold red]Nothing was blessed, and nothing was pushed.[/]")
    elif outcome["pushed_to"] is None:
        console.print(f"[green]Blessed {escape(outcome['chosen'])}.[/] Nothing was pushed.")
    else:
        console.print(f"[green]Pushed {escape(outcome['chosen'])}[/] to {escape(outcome['pushed_to'])}", soft_wrap=True)
        console.print(f"Where it came from: slimline lineage {escape(outcome['pushed_to'])}", soft_wrap=True)
    console.print(f"Done in {outcome['seconds']:.0f} s.")


def print_evaluation(evaluation: Mapping[str, Any], title: str, console: Console | None = None) -> None:
    """Prints the table of candidates and the reasons of each; on standard output unless told else."""
    console = console or terminal()
    evaluation = plain_values(evaluation)
    is_wide = console.width >= _WIDE
    if evaluation["candidates"]:
        console.print(summary.headline(evaluation), style="bold", soft_wrap=True, markup=False)
    console.print(_table(evaluation, title, with_reasons=is_wide))
    if evaluation["chosen"] is None:
        _print_missed(evaluation["candidates"], console)
    if not is_wide or evaluation["chosen"] is None:
        for candidate in evaluation["candidates"]:
            console.print(f"  {candidate['name']}: {_shorten(candidate['reasons'])}", soft_wrap=True, markup=False)
    if evaluation.get("task"):
        console.print(f"Judged as {evaluation['task']}.", soft_wrap=True, markup=False)
    if small := summary.small_slices_text(evaluation["candidates"]):
        console.print(small, soft_wrap=True, markup=False)
    if evaluation.get("nearest_miss") is not None:
        console.print(f"Closest: {evaluation['nearest_miss']}", soft_wrap=True, markup=False)
    for warning in evaluation.get("warnings", ()):
        console.print(f"Warning: {warning}", soft_wrap=True, markup=False)


def _print_missed(candidates: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Prints a row for each limit that is broken or undecided: those that decide nothing are left out."""
    rows = [(row["name"], verdict) for row in candidates for verdict in summary.missed_limits(row)]
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("candidate", "limit on", "slice"):
        table.add_column(heading, overflow="fold")
    for heading in ("value", "bound", "limit", "examples", "p"):
        table.add_column(heading, justify="right")
    table.add_column("outcome")
    table.add_column("examples of the slice that would decide")
    for name, verdict in rows[:_MAX_MISSED]:
        figures = [_number(verdict["value"], ".4g"), summary.bound_text(verdict), _number(verdict["limit"], ".4g")]
        table.add_row(
            *(escape(text) for text in (name, verdict["subject"], verdict["slice"])),
            *figures,
            _number(verdict["num_examples"], ",d"),
            summary.p_value_text(verdict),
            _VERDICTS[verdict["outcome"]],
            summary.needed_text(verdict),
        )
    console.print(table)
    if len(rows) > _MAX_MISSED:
        console.print(f"  and {len(rows) - _MAX_MISSED} limits more, which the JSON and the page have all")


def _shorten(reasons: Sequence[str]) -> str:
    """Joins reasons: with a limit on every slice there may be hundreds, which the JSON and the page have all."""
    more = f"; and {len(reasons) - _MAX_REASONS} more" if len(reasons) > _MAX_REASONS else ""
    return "; ".join(reasons[:_MAX_REASONS]) + more


def _table(outcome: Mapping[str, Any], name: str, *, with_reasons: bool) -> Table:
    metric = outcome["primary_metric"]
    title = f"{name}: all models on the same {outcome['num_examples']} examples"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("candidate", no_wrap=True)
    for heading in ("bytes", "gzip", metric, "drop", "host ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("confidence", justify="right", no_wrap=True)
    if with_reasons:
        table.add_column("reason")
    table.add_row("float original", *_figures(outcome["baseline"], metric, None), style="dim")
    for candidate in outcome["candidates"]:
        figures = _figures(candidate, metric, candidate["drop"].get(metric))
        cells = [escape(candidate["name"]), *figures, _verdict(candidate, outcome["chosen"])]
        cells.append(summary.confidence_text(candidate))
        table.add_row(*cells, *([escape(_shorten(candidate["reasons"]))] if with_reasons else []))
    return table


def _verdict(candidate: Mapping[str, Any], chosen: str | None) -> str:
    if candidate["name"] == chosen:
        return "[bold green]chosen[/]"
    return _VERDICTS[candidate["verdict"]]


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
