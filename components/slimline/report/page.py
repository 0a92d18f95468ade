"""The page of an evaluation and that of a quantization: one file each, which needs no network and no other file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from slimline.core.atomic_write import write_file
from slimline.plain_text import plain_values
from slimline.report import summary
from slimline.report.figures import draw_slices, draw_trade_off, limits_by_slice

_TEMPLATE = "evaluation.html.jinja"
_QUANTIZATION_TEMPLATE = "quantization.html.jinja"
_MAX_OPERATIONS = 200


def write_page(evaluation: Mapping[str, Any], path: Path) -> None:
    """Writes an evaluation as a page; a page that is there stays until the new one is complete.

    Args:
      evaluation: Content of `evaluation.json`.
      path: The file to write.

    Raises:
      PipelineError: There is no space left.
    """
    write_file(path, render(evaluation).encode())


def render(evaluation: Mapping[str, Any]) -> str:
    """Returns the page. Whatever stands in the data is escaped."""
    evaluation = plain_values(evaluation)
    metric = evaluation["primary_metric"]
    limit = limits_by_slice(evaluation["config"]["thresholds"], metric)
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            evaluation=evaluation,
            metric=metric,
            decision=_decision(evaluation),
            trade_offs=[
                Markup(figure)  # noqa: S704 - drawn by Matplotlib, which escapes text
                for key, label in (("gzip_bytes", "bytes after gzip"), ("latency_ms", "host latency, ms"))
                if (figure := draw_trade_off(evaluation, key, label)) is not None
            ],
            slice_figures={
                row["name"]: Markup(figure)  # noqa: S704
                for row in evaluation["candidates"]
                if (figure := draw_slices(row, metric, limit)) is not None
            },
            max_operations=_MAX_OPERATIONS,
        )
    )


def render_quantization(report: Mapping[str, Any]) -> str:
    """Returns the page of a `quantization_report.json`. Whatever stands in the data is escaped."""
    return (
        _environment()
        .get_template(_QUANTIZATION_TEMPLATE)
        .render(report=plain_values(report), max_operations=_MAX_OPERATIONS)
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("slimline.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=_count, number=_number, share=_share, signed=_signed)
    environment.globals.update(summary=summary)
    return environment


def _decision(evaluation: Mapping[str, Any]) -> str:
    if evaluation["chosen"] is not None:
        return "pass"
    return "undecided" if any(row["verdict"] == "undecided" for row in evaluation["candidates"]) else "fail"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"
