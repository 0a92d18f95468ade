"""Says a component's verdict in the log of whoever runs the pipeline."""

import logging
from collections.abc import Iterable

from slimline.plain_text import plain

_LOGGER = logging.getLogger("slimline")


def announce(node_id: str, lines: Iterable[str], *, is_good: bool) -> None:
    """Logs lines, as a warning when they are no good news.

    TFX's local runner sets no logging up: then they go to standard error.

    Args:
      node_id: Of the component.
      lines: Of text, the most important first.
      is_good: Whether nobody has to do anything.
    """
    if not _LOGGER.hasHandlers():
        _LOGGER.addHandler(logging.StreamHandler())
    if _LOGGER.level == logging.NOTSET:
        _LOGGER.setLevel(logging.INFO)
    for line in lines:
        _LOGGER.log(logging.INFO if is_good else logging.WARNING, "%s: %s", node_id, plain(line))
