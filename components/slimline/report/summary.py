"""What an evaluation comes to in a few lines: for the terminal, the log and the top of the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

# Values of `evaluation.json`.
Fields: TypeAlias = Mapping[str, Any]

_MAX_LINES = 12


def headline(evaluation: Fields) -> str:
    """Returns the decision, and after it the reason.

    Args:
      evaluation: Content of `evaluation.json`.
    """
    decided, reason = decision(evaluation), reason_of(evaluation)
    between = ": " if evaluation["chosen"] is not None else ". "
    return decided + (between + reason if reason else "")


def decision(evaluation: Fields) -> str:
    """Returns what was decided, in a few words."""
    if evaluation["chosen"] is not None:
        return f"{evaluation['chosen']} may ship"
    is_open = any(row["verdict"] == "undecided" for row in evaluation["candidates"])
    return "Undecided: nothing ships" if is_open else "Nothing may ship"


def reason_of(evaluation: Fields) -> str:
    """Returns the reason of the decision; empty when something ships and nothing is known of how sure that is."""
    rows = evaluation["candidates"]
    if evaluation["chosen"] is not None:
        (row,) = (row for row in rows if row["name"] == evaluation["chosen"])
        sure = confidence_text(row)
        return f"it keeps every limit with {sure} confidence" if sure else ""
    # The nearest miss is the one to look at, unless it failed and another can still be decided.
    rows = [row for row in rows if row["verdict"] == "undecided"] or rows
    row = next((row for row in rows if row["name"] == evaluation.get("nearest_miss")), rows[0])
    return f"{row['name']}: {first_reason(row)}"


def first_reason(row: Fields) -> str:
    """Returns the sentence of the limit that a candidate misses first, or why it could not be judged."""
    missed = missed_limits(row)
    return str(missed[0]["text"] if missed else next(iter(row["reasons"]), ""))


def missed_limits(row: Fields) -> list[Fields]:
    """Returns the limits that a candidate broke, and after them those that are undecided.

    Args:
      row: A candidate of `evaluation.json`.
    """
    verdicts = row.get("verdicts", ())
    return [verdict for outcome in ("fail", "undecided") for verdict in verdicts if verdict["outcome"] == outcome]


def small_slices(candidates: Sequence[Fields]) -> dict[str, int]:
    """Returns the slices that have too few examples to be judged, and how many they have."""
    return {
        verdict["slice"]: verdict["num_examples"]
        for row in candidates
        for verdict in row.get("verdicts", ())
        if verdict["outcome"] == "not judged"
    }


def small_slices_text(candidates: Sequence[Fields]) -> str:
    """Returns the same as a sentence; empty when there are none."""
    found = small_slices(candidates)
    listed = ", ".join(f"{name} ({number})" for name, number in sorted(found.items()))
    return f"Too few examples to be judged: {listed}." if found else ""


def bound_text(verdict: Fields) -> str:
    """Returns the confidence bound that an outcome rests on; empty when there is none."""
    # A limit is kept by the bound on the limit's side, and broken by the other.
    is_upper = verdict["is_upper"] != (verdict["outcome"] == "fail")
    value = verdict["upper"] if is_upper else verdict["lower"]
    return "" if value is None else f"{'≤' if is_upper else '≥'} {value:.4g}"


def needed_text(verdict: Fields) -> str:
    """Returns how many examples of its slice would decide a limit, and which way; empty when none are known."""
    more, way = verdict["more_examples"], verdict.get("tends_to", "")
    return "" if more is None else f"{more:,}" + (f", to {way}" if way else "")


def p_value_text(verdict: Fields) -> str:
    """Returns the p-value of a limit; empty for what has no chance in it."""
    value = verdict.get("p_value")
    return "" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def confidence_text(row: Fields) -> str:
    """Returns the confidence with which a candidate keeps its limits, rounded down; empty when it is not known."""
    value = row.get("confidence")
    return "" if value is None else f"{math.floor(1000 * value + 1e-9) / 10:.1f}%"


def summary_lines(evaluation: Fields) -> list[str]:
    """Returns the decision and its reasons, the most important first.

    Args:
      evaluation: Content of `evaluation.json`.
    """
    lines = [headline(evaluation)]
    for row in evaluation["candidates"]:
        sure = confidence_text(row)
        lines.append(f"{row['name']}: {row['verdict']}" + (f", confidence {sure}" if sure else ""))
        missed = [str(verdict["text"]) for verdict in missed_limits(row)]
        if row["verdict"] != "pass":
            reasons = missed or list(row["reasons"])
            lines += [f"  {reason}" for reason in reasons[:_MAX_LINES]]
            if len(reasons) > _MAX_LINES:
                lines.append(f"  and {len(reasons) - _MAX_LINES} more in evaluation.json")
    small = small_slices_text(evaluation["candidates"])
    if evaluation.get("task"):
        lines.append(f"Judged as {evaluation['task']}.")
    return [*lines, *([small] if small else []), *(f"Warning: {warning}" for warning in evaluation["warnings"])]
