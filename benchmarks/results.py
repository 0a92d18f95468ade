"""What benchmarks found, as JSON in `benchmarks/results`, with the machine and the versions that it was found on."""

import json
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.board import Board, Ratio

FOLDER = Path(__file__).parent / "results"
_PACKAGES = ("tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert", "apache-beam", "tfx")


def write(form: str, board: Board) -> None:
    """Keeps what a benchmark found, in place of what it found before.

    Args:
      form: The benchmark's name, with `.quick` for the short form.
      board: With all of it.
    """
    FOLDER.mkdir(exist_ok=True)
    content = {**describe_machine(), **board.to_dict()}
    (FOLDER / f"{form}.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def read(form: str) -> dict[str, Any] | None:
    """Returns what a benchmark found last; None when it has not run."""
    path = FOLDER / f"{form}.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def describe_machine() -> dict[str, Any]:
    """Returns the date, the machine and the versions that figures belong to."""
    model = re.search(r"model name\s*: (.+)", _text("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", _text("/proc/meminfo"))
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "cpu": model[1].strip() if model else platform.processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(int(memory[1]) / 2**20) if memory else None,
            "system": platform.system(),
        },
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}},
    }


def compare(form: str, found: Sequence[Ratio]) -> list[str]:
    """Returns which ratios are further from the committed ones than they may be, in words.

    A ratio with a goal may always come nearer to it.

    Args:
      form: The benchmark's name, with `.quick` for the short form.
      found: Its ratios now.
    """
    committed = read(form)
    if committed is None:
        return [f"{form}: no committed result to compare with; run it without --check first"]
    wanted = {ratio["name"]: Ratio(**ratio) for ratio in committed["ratios"]}
    missing = [f"{form}: {name} is committed and was not measured" for name in wanted if name not in _names(found)]
    return missing + [
        f"{form}: {ratio.name} is {ratio.value:.4g}, committed {wanted[ratio.name].value:.4g}, "
        f"tolerance {100 * ratio.tolerance:g}%"
        for ratio in found
        if ratio.name in wanted and is_worse(ratio, wanted[ratio.name].value)
    ]


def is_worse(ratio: Ratio, committed: float) -> bool:
    """Returns whether a ratio is worse than the committed one by more than its tolerance."""
    room = abs(committed) * ratio.tolerance
    if ratio.goal is None:
        return abs(ratio.value - committed) > room
    return ratio.value > committed + room if ratio.bound == "at most" else ratio.value < committed - room


def _names(ratios: Sequence[Ratio]) -> set[str]:
    return {ratio.name for ratio in ratios}


def _text(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.exists() else ""
