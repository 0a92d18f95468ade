"""Tells whoever runs a pipeline in this process how far a component is; without a listener nothing is told."""

from collections.abc import Callable
from typing import TypeAlias

Listener: TypeAlias = Callable[[str, str], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Has a function called with a node's id and a line of text, for the life of the process."""
    _listeners.append(listener)


def tell(node_id: str, text: str) -> None:
    """Tells how far a node is."""
    for listener in _listeners:
        listener(node_id, text)
