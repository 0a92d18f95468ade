"""Writes the page of an evaluation that was made before."""

import json
from pathlib import Path
from typing import Any

from slimline.errors import LineageError
from slimline.names import file_names, schema_versions


def find_evaluation(path: Path) -> Path:
    """Finds an evaluation by what a person has at hand.

    Args:
      path: An `evaluation.json`, the artifact's folder, or the root of a run, whose newest evaluation is taken.

    Raises:
      LineageError: There is none.
    """
    if path.is_file():
        return path
    own = path / file_names.EVALUATION
    if own.is_file():
        return own
    found = sorted(path.rglob(file_names.EVALUATION), key=lambda file: file.stat().st_mtime)
    if not found:
        raise LineageError(
            f"no {file_names.EVALUATION} at or below {path}",
            "an evaluation, its folder, or the root of a run with an EdgeValidator",
            "check the path",
        )
    return found[-1]


def write_report(path: Path, output: Path | None) -> Path:
    """Writes the page of an evaluation and returns its path.

    Args:
      path: As for `find_evaluation`.
      output: File to write; beside the evaluation when left out.

    Raises:
      LineageError: There is no evaluation, it is of another version, or there is no folder to write to.
    """
    from jinja2 import UndefinedError

    from slimline.report.page import write_page

    source = find_evaluation(path)
    evaluation = _read(source)
    target = output or source.with_name(file_names.EVALUATION_PAGE)
    if not target.parent.is_dir():
        raise LineageError(f"--output {target}, whose folder is not there", "a folder to write to", "make it first")
    try:
        write_page(evaluation, target)
    # The version is right, so that somebody changed it by hand, or cut it off.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, UndefinedError) as error:
        raise LineageError(
            f"{source}, in which something is missing or of another kind: {error!r}",
            f"an {file_names.EVALUATION} as it was written",
            "validate again",
        ) from error
    return target


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
        version = content["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise LineageError(f"{path} is no evaluation: {error!r}", file_names.EVALUATION, "give another") from None
    if version != schema_versions.EVALUATION:
        raise LineageError(
            f"{path} of version {version}", f"version {schema_versions.EVALUATION}", "validate again with this Slimline"
        )
    return dict(content)
