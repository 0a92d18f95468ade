"""Reads options of a configuration from a JSON file."""

import json
from pathlib import Path
from typing import Any

from slimline.errors import ConfigError


def read_options(path: Path, configuration: str) -> dict[str, Any]:
    """Returns what a file says.

    Args:
      path: Of the file.
      configuration: Whose options it is to hold, for messages.

    Raises:
      ConfigError: There is no such file, or it is no JSON object.
    """
    if not path.is_file():
        raise ConfigError(f"no file {path}", f"a JSON file with the options of {configuration}", "check the path")
    try:
        options = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: {error}", "a JSON object", "correct the file") from None
    if not isinstance(options, dict):
        raise ConfigError(f"{path} holds a {type(options).__name__}", "a JSON object", "correct the file")
    return options
