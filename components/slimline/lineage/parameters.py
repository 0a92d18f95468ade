"""Parameters of components laid out one by one: `config.target_sparsity` rather than a string in a string."""

import json
from collections.abc import Mapping
from typing import Any


def lay_out(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all values that were given, those inside of JSON parameters by `parameter.option`."""
    laid_out: dict[str, Any] = {}
    for name, value in parameters.items():
        content = _parse_object(value)
        if content is not None:
            laid_out.update({f"{name}.{key}": inner for key, inner in content.items() if inner not in (None, {}, [])})
        elif value not in ("", "null"):
            laid_out[name] = value
    return laid_out


def _parse_object(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        content = json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
