"""Finds the examples and folders that a command line names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slimline.errors import ConfigError, ExamplesError


def record_files(paths: Sequence[Path], option: str) -> tuple[str, ...]:
    """Returns files as they are, and of a folder its files but for JSON, as in a CalibrationSampler's output.

    Raises:
      ExamplesError: There is no file.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.iterdir()) if path.is_dir() else [path]
        chosen = [file for file in found if file.is_file() and file.suffix != ".json"]
        if not chosen:
            raise ExamplesError(f"{option} {path}, where there is no file", "TFRecord files", "check the path")
        files += chosen
    return tuple(str(file) for file in files)


def read_schema(path: Path | None, files: Sequence[str]) -> Any:
    """Returns the schema of a file, or that of the first record when there is none.

    Raises:
      ExamplesError: There is no schema, or no record.
    """
    from slimline.core.examples.features import infer_schema, load_schema
    from slimline.core.examples.records import read_all

    if path is not None:
        return load_schema(str(path))
    record = next(read_all(files), None)
    if record is None:
        raise ExamplesError(f"no record in {', '.join(files)}", "at least one", "give other files")
    return infer_schema(record)


def examples_options(label_key: str | None, input_features: Mapping[str, str]) -> dict[str, Any]:
    """Returns options of an `ExamplesConfig`: without a label the model's input is to come out again."""
    label: dict[str, Any] = {"label_key": label_key} if label_key else {"label_is_input": True}
    return {**label, "input_features": dict(input_features)}


def require_new_folder(path: Path) -> None:
    """Refuses a folder that would be written over.

    Raises:
      ConfigError: There is something.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"--output {path}, which is there already", "a new or empty folder", "choose another")
