"""What a user can get wrong, said so that the user can put it right.

A `SlimlineError` is always somebody's input: a configuration, a model, a file. Bugs keep their own exceptions and
tracebacks, and no code of the project catches those.
"""

import difflib
from collections.abc import Iterable

from slimline.plain_text import plain


class SlimlineError(Exception):
    """A user's mistake.

    Args:
      found: What is there, with the value and the place.
      expected: What would have been right, with its limits.
      remedy: What to do now.
    """

    def __init__(self, found: str, expected: str, remedy: str) -> None:
        super().__init__(found, expected, remedy)
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"Found: {self.found}\nExpected: {self.expected}\nTo do: {self.remedy}"
        # Names out of models and files stand in it, and it goes to terminals and logs.
        return plain(text, keep="\n\t")


class ConfigError(SlimlineError):
    """A value or name in a configuration, or in the call of a component, can't be right."""


class ModelError(SlimlineError):
    """A model can't be found, loaded, optimized or converted."""


class ExamplesError(SlimlineError):
    """Examples, their schema or a split are missing, broken, or do not fit the model."""


class PipelineError(SlimlineError):
    """A pipeline can't be found, built, or given a place to run."""


class LineageError(SlimlineError):
    """A metadata store can't be read, or knows nothing of what was asked."""


class ProvenanceError(SlimlineError):
    """Evidence of how a model was made, or a key for it, can't be read."""


def near_miss(word: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the known word most like `word`, or an empty string when none is alike."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
