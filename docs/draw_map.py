"""Draws docs/images/map.svg: the rooms of the code, each above what it imports, as the imports themselves tell.

Call it after a room or an import between rooms came or went: `python docs/draw_map.py`. A test compares.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path

import grimp

PICTURE = Path(__file__).parent / "images" / "map.svg"

# Rooms that are drawn as one box. What is not named here is a box of its own.
_BOXES = {
    "components": ("pruner", "clusterer", "calibration_sampler", "quantizer", "edge_validator"),
    "shells": ("shells", "artifacts"),
    "core: config, digests, isolation, …": (
        *("core.config", "core.schemes", "core.digest", "core.user_code", "core.atomic_write", "core.isolation"),
        "core.internals",
    ),
    "errors, names": ("errors", "names", "plain_text"),
}
_BOX_OF = {room: box for box, rooms in _BOXES.items() for room in rooms}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN, _CHAR = 150, 34, 24, 40, 16, 7.2

Imports = Mapping[str, frozenset[str]]


def read_imports() -> dict[str, frozenset[str]]:
    """Returns which boxes each box imports."""
    graph = grimp.build_graph("slimline", "slimline_pipelines", cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in sorted(graph.modules):
        box = _box(module)
        if box is not None:
            others = {_box(other) for other in graph.find_modules_directly_imported_by(module)}
            found.setdefault(box, set()).update(other for other in others if other not in (None, box))
    return {box: frozenset(others) for box, others in found.items()}


def _box(module: str) -> str | None:
    package, *path = module.split(".")
    if package != "slimline":
        return package
    if not path:
        # Its public names are loaded when they are used, which no reader of imports sees: they need all components.
        return "components"
    # The door of `python -m slimline` is that of the command line.
    if path in (["core"], ["__main__"]):
        return None
    room = ".".join(path[:2]) if path[0] == "core" else path[0]
    return _BOX_OF.get(room, room)


def reduce(imports: Imports) -> dict[str, frozenset[str]]:
    """Leaves out what follows from the rest: an import of a room that is reached through another one, too."""

    def reached(box: str) -> set[str]:
        return {inner for other in imports[box] for inner in (other, *reached(other))}

    return {
        box: frozenset(others - {inner for other in others for inner in reached(other)})
        for box, others in imports.items()
    }


def levels(imports: Imports) -> list[list[str]]:
    """Returns the boxes row by row, the highest first: each below all that import it."""
    depths: dict[str, int] = {}

    def depth(box: str) -> int:
        if box not in depths:
            depths[box] = max((1 + depth(other) for other, used in imports.items() if box in used), default=0)
        return depths[box]

    rows: list[list[str]] = [[] for _ in range(1 + max(depth(box) for box in imports))]
    for box in sorted(imports):
        rows[depth(box)].append(box)
    return rows


def draw(imports: Imports) -> str:
    """Returns the picture as SVG."""
    rows = levels(imports)
    places: dict[str, tuple[float, float, float]] = {}
    total = max(sum(_width(box) + _GAP_X for box in row) for row in rows) + 2 * _MARGIN
    for number, row in enumerate(rows):
        x = (total - sum(_width(box) + _GAP_X for box in row) + _GAP_X) / 2
        for box in row:
            places[box] = (x, _MARGIN + number * (_HEIGHT + _GAP_Y), _width(box))
            x += _width(box) + _GAP_X
    height = 2 * _MARGIN + len(rows) * (_HEIGHT + _GAP_Y) - _GAP_Y
    lines = [
        _line(places[box], places[other]) for box, others in sorted(reduce(imports).items()) for other in sorted(others)
    ]
    boxes = [_draw_box(box, place) for box, place in sorted(places.items())]
    return "\n".join(
        (
            f'<svg viewBox="0 0 {total:.0f} {height}" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif">',
            f'<rect width="{total:.0f}" height="{height}" fill="#ffffff"/>',
            *lines,
            *boxes,
            "</svg>\n",
        )
    )


def _width(box: str) -> float:
    return max(_WIDTH, len(box) * _CHAR + 2 * _MARGIN)


def _line(above: tuple[float, float, float], below: tuple[float, float, float]) -> str:
    start, end = (above[0] + above[2] / 2, above[1] + _HEIGHT), (below[0] + below[2] / 2, below[1])
    bend = (end[1] - start[1]) / 2
    return (
        f'<path d="M{start[0]:.0f} {start[1]:.0f} C{start[0]:.0f} {start[1] + bend:.0f} {end[0]:.0f} '
        f'{end[1] - bend:.0f} {end[0]:.0f} {end[1]:.0f}" fill="none" stroke="#8a94a6"/>'
    )


def _draw_box(box: str, place: tuple[float, float, float]) -> str:
    x, y, width = place
    fill = "#dbeafe" if box.startswith("core") else "#f1f5f9"
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="#475569"/>'
        f'<text x="{x + width / 2:.0f}" y="{y + _HEIGHT / 2 + 5:.0f}" font-size="13" text-anchor="middle" '
        f'fill="#0f172a">{escape(box)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(read_imports()))
