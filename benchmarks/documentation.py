"""Writes `docs/benchmarks.md` and its pictures from `benchmarks/results`: nothing in it is written by hand."""

import ast
from pathlib import Path
from typing import Any

import matplotlib

from benchmarks import results
from benchmarks.board import Column, Picture, Ratio, Table
from benchmarks.registry import BENCHMARKS, Benchmark

matplotlib.use("svg")
from matplotlib import pyplot

_DOCS = Path(__file__).parent.parent / "docs"
_IMAGES = _DOCS / "images" / "benchmarks"
# The same figures give the same picture.
_STYLE = {"svg.hashsalt": "slimline", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
_INTRODUCTION = """# Benchmarks

Made by `python -m benchmarks` from `benchmarks/results`; `make bench` makes it anew on your machine, `--list` says what
there is, `--quick` takes under three minutes, and `--check` compares the ratios with the committed ones. Seconds and
milliseconds belong to the machine that is named; ratios and bytes are what counts. Nothing is downloaded.
"""


def write_documentation() -> None:
    """Writes the page and the pictures of every benchmark that has run."""
    (_DOCS / "benchmarks.md").write_text(render())
    for benchmark in BENCHMARKS.values():
        content = results.read(benchmark.name) or {"pictures": []}
        for picture in content["pictures"]:
            _draw(Picture(**{**picture, "points": tuple(tuple(point) for point in picture["points"])}))


def render() -> str:
    """Returns the page."""
    found = ((benchmark, results.read(benchmark.name)) for benchmark in BENCHMARKS.values())
    return "\n".join([_INTRODUCTION, *(_section(benchmark, content) for benchmark, content in found if content)])


def _section(benchmark: Benchmark, content: dict[str, Any]) -> str:
    machine, versions = content["machine"], content["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"## {benchmark.title}: `python -m benchmarks {benchmark.name}`", "", _prose(benchmark), ""]
    if content["ratios"]:
        lines += ["| ratio | value | goal |", "|---|---|---|"]
        lines += [_ratio_line(Ratio(**ratio)) for ratio in content["ratios"]] + [""]
    for picture in content["pictures"]:
        lines += [f"![{picture['title']}](images/benchmarks/{picture['name']}.svg)", ""]
    for table in content["tables"]:
        lines += [_table(table), ""]
    lines += [
        f"*{content['date']}, {machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, "
        f"{machine['system']}; {packages}.*",
        "",
    ]
    return "\n".join(lines)


def _prose(benchmark: Benchmark) -> str:
    """Returns the module's docstring after its first line, which the title says already."""
    module = Path(__file__).with_name(f"{benchmark.name}.py")
    text = ast.get_docstring(ast.parse(module.read_text())) or ""
    return text.partition("\n")[2].strip()


def _ratio_line(ratio: Ratio) -> str:
    goal = "" if ratio.goal is None else f"{ratio.bound} {ratio.goal:g}{'' if ratio.meets_goal else ' (missed)'}"
    return f"| {ratio.name} | {ratio.value:.4g} | {goal} |"


def _table(found: dict[str, Any]) -> str:
    table = Table(found["title"], tuple(Column(**column) for column in found["columns"]), found["rows"])
    return "\n".join([f"{table.title}", "", table.heading, *(table.line(row) for row in table.rows)])


def _draw(picture: Picture) -> None:
    _IMAGES.mkdir(parents=True, exist_ok=True)
    series = list(dict.fromkeys(point[0] for point in picture.points))
    colours = pyplot.get_cmap("tab10")
    with matplotlib.rc_context(_STYLE):
        figure, axes = pyplot.subplots(figsize=(7.5, 4.2), layout="constrained")
        for number, name in enumerate(series):
            points = [point for point in picture.points if point[0] == name]
            axes.scatter(
                [point[2] for point in points],
                [point[3] for point in points],
                s=22,
                label=name,
                color=colours(number % 10),
            )
            for _, label, x, y in points:
                axes.annotate(label, (x, y), fontsize=6, xytext=(3, 3), textcoords="offset points", color="#444")
        axes.set(xlabel=picture.x, ylabel=picture.y, title=picture.title, xscale="log")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7)
        figure.savefig(_IMAGES / f"{picture.name}.svg", format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


if __name__ == "__main__":
    write_documentation()
