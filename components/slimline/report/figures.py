"""Pictures of an evaluation, as SVG to be put into a page."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

_SIZE_INCHES = (5.2, 3.6)
_COLORS = {"pass": "#1a7f37", "fail": "#b42318", "undecided": "#b7791f"}
_NEUTRAL = "#57606a"
# The same figures give the same picture.
_STYLE = {"svg.hashsalt": "slimline", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
_MAX_SLICES = 40
# Points closer than this share of an axis have one label.
_NEAR = 0.06


def draw_trade_off(evaluation: Mapping[str, Any], key: str, label: str) -> str | None:
    """Draws each candidate's primary metric against what it costs; Pareto members are filled.

    Args:
      evaluation: Content of `evaluation.json`.
      key: Of the cost in a candidate's report, as `gzip_bytes`.
      label: Of the axis.

    Returns:
      An SVG element; None when fewer than one candidate has the figure.
    """
    metric = evaluation["primary_metric"]
    shown = [row for row in evaluation["candidates"] if row[key] is not None and metric in row["metrics"]]
    if not shown:
        return None
    with matplotlib.rc_context(_STYLE):
        figure, axes = pyplot.subplots(figsize=_SIZE_INCHES, layout="constrained")
        for row in shown:
            color = _COLORS[row["verdict"]]
            face = color if row["is_pareto"] else "none"
            axes.scatter(row[key], row["metrics"][metric], s=60, facecolors=face, edgecolors=color, zorder=3)
        for text, place in _labels(evaluation, shown, key, metric):
            axes.annotate(text, place, xytext=(6, 4), textcoords="offset points", fontsize=9)
        reference = evaluation["baseline"]["metrics"].get(metric)
        if reference is not None:
            axes.axhline(reference, color=_NEUTRAL, linestyle="--", linewidth=1, zorder=1)
            axes.annotate(
                "float original",
                (1, reference),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=8,
                color=_NEUTRAL,
            )
        axes.margins(x=0.25, y=0.3)
        axes.set(xlabel=label, ylabel=_plain(metric))
        axes.grid(alpha=0.3)
        return _svg(figure)


def _labels(
    evaluation: Mapping[str, Any], shown: Sequence[Mapping[str, Any]], key: str, metric: str
) -> list[tuple[str, tuple[float, float]]]:
    """Returns the numbers that candidates have in the table, those of points which lie together as one label."""
    numbers = {row["name"]: place for place, row in enumerate(evaluation["candidates"], start=1)}
    spans = [
        max(values) - min(values) or 1.0
        for values in ([row[key] for row in shown], [row["metrics"][metric] for row in shown])
    ]
    groups: list[tuple[list[int], tuple[float, float]]] = []
    for row in sorted(shown, key=lambda row: (row[key], row["metrics"][metric])):
        place = (row[key], row["metrics"][metric])
        near = [
            group
            for group in groups
            if all(abs(a - b) <= _NEAR * span for a, b, span in zip(group[1], place, spans, strict=True))
        ]
        if near:
            near[-1][0].append(numbers[row["name"]])
        else:
            groups.append(([numbers[row["name"]]], place))
    return [(", ".join(str(number) for number in sorted(listed)), place) for listed, place in groups]


def draw_slices(candidate: Mapping[str, Any], metric: str, limit: float | None) -> str | None:
    """Draws a candidate's drop on every slice with its confidence interval.

    Args:
      candidate: A candidate's report.
      metric: Which metric.
      limit: The largest drop allowed, drawn as a line; None for no line.

    Returns:
      An SVG element; None without slices.
    """
    drops = {
        name: figures[metric]
        for name, figures in candidate["slices"].items()
        if figures.get(metric, {}).get("drop") is not None
    }
    if len(drops) < 2:
        return None
    names = sorted(drops, key=lambda name: (name != "overall", name))[:_MAX_SLICES]
    with matplotlib.rc_context(_STYLE):
        figure, axes = pyplot.subplots(figsize=(_SIZE_INCHES[0], 0.8 + 0.28 * len(names)), layout="constrained")
        for place, name in enumerate(reversed(names)):
            drop = drops[name]
            low = drop["drop"] if drop["lower"] is None else drop["lower"]
            high = drop["drop"] if drop["upper"] is None else drop["upper"]
            axes.plot([low, high], [place, place], color=_NEUTRAL, linewidth=2, solid_capstyle="round")
            axes.plot(drop["drop"], place, "o", color=_NEUTRAL, markersize=5)
        if limit is not None:
            axes.axvline(limit, color=_COLORS["fail"], linestyle="--", linewidth=1)
        axes.axvline(0, color=_NEUTRAL, linewidth=0.8, alpha=0.5)
        axes.set_yticks(range(len(names)), [_plain(name) for name in reversed(names)])
        axes.set(xlabel=f"drop of {_plain(metric)}")
        axes.grid(axis="x", alpha=0.3)
        return _svg(figure)


def _svg(figure: Any) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = stream.getvalue()
    # What stands before the element is for files of their own; a fixed size would not fit a phone.
    element = text[text.index("<svg") :]
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r'<svg \1role="img"', element, count=1)


def _plain(text: str) -> str:
    """Keeps names from being read as formulas, and from being longer than the picture."""
    short = text if len(text) <= 40 else text[:39] + "…"
    # Matplotlib takes the backslash off before a dollar, and leaves any other as it is.
    return short.replace("$", r"\$")


def limits_by_slice(thresholds: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    """Returns the largest drop that is allowed of a metric, for the line in a picture of slices."""
    limits = [one["max_drop"] for one in thresholds if one["metric"] == metric and one["max_drop"] is not None]
    return max(limits, default=None)
