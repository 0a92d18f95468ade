"""Text that others supplied, so that a terminal or a page can show it: names in models, files, slices and features."""

import unicodedata
from collections.abc import Mapping
from typing import Any

# Control characters, halves of surrogate pairs, and what ends lines or paragraphs.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# These turn the direction of what follows, and can make a text read as another (Unicode Standard Annex 9).
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str, *, keep: str = "") -> str:
    r"""Returns a text in which nothing steers a terminal: such characters stand as their escapes, as `\x1b`.

    Args:
      text: Any.
      keep: Characters to leave alone, as line breaks in a text of several lines.

    >>> plain("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep or not _steers(one) else _escape(one) for one in text)


def plain_values(value: Any) -> Any:
    """Returns what JSON holds, with every text in it made plain, keys too."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plain_values(key): plain_values(inner) for key, inner in value.items()}
    return [plain_values(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _steers(character: str) -> bool:
    return character in _DIRECTIONS or unicodedata.category(character) in _UNSAFE_CATEGORIES


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
