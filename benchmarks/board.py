"""What a benchmark writes its figures on: tables, ratios and pictures, printed as they come and kept as JSON.

A benchmark is a module with a function `run(board)`. What takes long goes through `Board.cell`, so that a run that was
broken off goes on where it stood.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

Value: TypeAlias = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      name: Its heading, with the unit.
      form: How a number is written, as of `format`; a text is written as it is, and None as a dash.
    """

    name: str
    form: str = ""

    def show(self, value: Value) -> str:
        """Returns a value as it is written."""
        if value is None:
            return "-"
        return value if isinstance(value, str) else format(value, self.form)


@dataclass
class Table:
    """Rows under headings.

    Attributes:
      title: What they show, in a sentence.
      columns: Their headings.
      rows: Values, one list for each row.
    """

    title: str
    columns: tuple[Column, ...]
    rows: list[list[Value]] = field(default_factory=list)

    def row(self, *values: Value) -> None:
        """Adds a row, and prints it."""
        assert len(values) == len(self.columns), (values, self.columns)
        self.rows.append(list(values))
        print(self.line(values), flush=True)

    def line(self, values: Sequence[Value]) -> str:
        """Returns a row as Markdown."""
        cells = (column.show(value) for column, value in zip(self.columns, values, strict=True))
        return f"| {' | '.join(cells)} |"

    @property
    def heading(self) -> str:
        """The first two lines, as Markdown."""
        return f"| {' | '.join(column.name for column in self.columns)} |\n|{'---|' * len(self.columns)}"


@dataclass(frozen=True)
class Ratio:
    """A figure that does not belong to the machine.

    Attributes:
      name: What is compared with what.
      value: The figure.
      goal: The value that is hoped for; None when there is none.
      bound: Whether the goal is a largest or a smallest value.
      tolerance: By how much of itself the value may differ from one run to the next.
    """

    name: str
    value: float
    goal: float | None
    bound: Literal["at most", "at least"]
    tolerance: float

    @property
    def meets_goal(self) -> bool:
        """Whether it is as hoped for."""
        if self.goal is None:
            return True
        return self.value <= self.goal if self.bound == "at most" else self.value >= self.goal


@dataclass(frozen=True)
class Picture:
    """Points of a few series over two axes.

    Attributes:
      name: Of the file, without its ending.
      title: What it shows.
      x: Heading of the axis, which is logarithmic.
      y: Heading of the other.
      points: (series, label, x, y) of each.
    """

    name: str
    title: str
    x: str
    y: str
    points: tuple[tuple[str, str, float, float], ...]


class Board:
    """Collects what one benchmark finds.

    Args:
      name: The benchmark's.
      quick: Whether the short form is asked for.
      cells: Folder for what is kept between runs.
    """

    def __init__(self, name: str, cells: Path, *, quick: bool) -> None:
        self.name = name
        self.quick = quick
        self.tables: list[Table] = []
        self.ratios: list[Ratio] = []
        self.pictures: list[Picture] = []
        self._cells = cells

    def table(self, title: str, *columns: Column | str) -> Table:
        """Begins a table, and prints its heading."""
        named = tuple(Column(column) if isinstance(column, str) else column for column in columns)
        table = Table(title, named)
        self.tables.append(table)
        print(f"\n{title}\n\n{table.heading}", flush=True)
        return table

    def ratio(
        self,
        name: str,
        value: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        tolerance: float = 0.1,
    ) -> None:
        """Adds a ratio, with the goal that it has, and prints it."""
        bound: Literal["at most", "at least"] = "at most" if at_most is not None else "at least"
        goal = at_most if at_most is not None else at_least
        found = Ratio(name, float(value), goal, bound, tolerance)
        self.ratios.append(found)
        wish = "" if goal is None else f", goal {bound} {goal:g}{'' if found.meets_goal else ': MISSED'}"
        print(f"  {name}: {value:.4g}{wish}", flush=True)

    def picture(self, picture: Picture) -> None:
        """Adds a picture."""
        self.pictures.append(picture)

    def cell(self, key: str, compute: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what `compute` gives, which JSON must hold, from the last run where that got so far.

        Args:
          key: Different for everything that the benchmark computes.
          compute: Called when there is nothing yet.
          arguments: What it is called with.
        """
        place = self._cells / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', key)}.json"
        if place.is_file():
            return json.loads(place.read_text())
        started = time.monotonic()
        found = compute(*arguments)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(".partial")
        partial.write_text(json.dumps(found, allow_nan=False))
        partial.replace(place)
        print(f"  ({key}: {time.monotonic() - started:.0f} s)", flush=True)
        return found

    def cell_in(self, pool: Executor, key: str, compute: Callable[..., Any], *arguments: Any) -> Any:
        """The same, computed by a pool of processes."""
        return self.cell(key, lambda: pool.submit(compute, *arguments).result())

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it as JSON has it."""
        return {
            "tables": [asdict(table) for table in self.tables],
            "ratios": [asdict(ratio) for ratio in self.ratios],
            "pictures": [asdict(picture) for picture in self.pictures],
        }
