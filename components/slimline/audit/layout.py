"""Lays a run out for drawing: steps in columns from the data on the left, artifacts between them."""

from dataclasses import dataclass

from slimline.audit.snapshot import Execution, Snapshot

_COLUMN_PX, _ROW_PX = 230, 56


@dataclass(frozen=True)
class Place:
    """Where a step is drawn.

    Attributes:
      execution: The step.
      x: Left edge in pixels.
      y: Upper edge in pixels.
    """

    execution: Execution
    x: int
    y: int


@dataclass(frozen=True)
class Layout:
    """A drawing.

    Attributes:
      places: Of the steps.
      lines: From a step to one that used what it made: ids of both, and the ids of the artifacts.
      width: In pixels.
      height: In pixels.
    """

    places: tuple[Place, ...]
    lines: tuple[tuple[int, int, tuple[int, ...]], ...]
    width: int
    height: int


def lay_out(records: Snapshot) -> Layout:
    """Places each step right of all those whose outputs it used."""
    lines: dict[tuple[int, int], list[int]] = {}
    for execution in records.executions.values():
        for id_ in execution.all_inputs():
            maker = records.producers.get(id_)
            if maker is not None and maker.id != execution.id and maker.id in records.executions:
                lines.setdefault((maker.id, execution.id), []).append(id_)
    columns = _columns(records, lines)
    rows: dict[int, int] = {}
    places = []
    # Ids grow with time: in their order each step comes after those that it builds on.
    for execution in sorted(records.executions.values(), key=lambda e: e.id):
        column = columns[execution.id]
        places.append(Place(execution, column * _COLUMN_PX, rows.setdefault(column, 0) * _ROW_PX))
        rows[column] += 1
    width = (max(columns.values(), default=0) + 1) * _COLUMN_PX
    height = max(rows.values(), default=1) * _ROW_PX
    drawn = tuple((one, other, tuple(ids)) for (one, other), ids in sorted(lines.items()))
    return Layout(tuple(places), drawn, width, height)


def _columns(records: Snapshot, lines: dict[tuple[int, int], list[int]]) -> dict[int, int]:
    """Returns the longest way to each step. A record with a circle, which no pipeline makes, ends at its first step."""
    before: dict[int, list[int]] = {id_: [] for id_ in records.executions}
    for one, other in lines:
        if one < other:
            before[other].append(one)
    columns: dict[int, int] = {}
    for id_ in sorted(records.executions):
        columns[id_] = max((columns[one] + 1 for one in before[id_]), default=0)
    return columns
