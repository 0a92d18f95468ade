"""The one way to a terminal: nothing that a model, a file or a feature is called by can steer it."""

import os
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from slimline.plain_text import plain

# Wider than any table.
_UNBOUNDED = 10_000


class _PlainConsole(Console):
    """Shows control characters in texts as their escapes; colours and movements are Rich's own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else plain(text, keep="\n\t"), style, control)


def terminal(*, stderr: bool = False) -> Console:
    """Returns a console on standard output, or on standard error.

    A pipe or a file has no width: Rich would take 80 columns, and cut figures and verdicts out of a table. Who wants a
    width there says so with the variable COLUMNS.
    """
    console = _PlainConsole(stderr=stderr, highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _UNBOUNDED
    return console
