"""The one way to a terminal: nothing that a model, a file or a feature is called by can steer it."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from slimline.plain_text import plain


class _PlainConsole(Console):
    """Shows control characters in texts as their escapes; colours and movements are Rich's own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else plain(text, keep="\n\t"), style, control)


def terminal(*, stderr: bool = False) -> Console:
    """Returns a console on standard output, or on standard error."""
    return _PlainConsole(stderr=stderr, highlight=False)
