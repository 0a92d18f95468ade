"""The parts of `evaluation.json` that rules judge by, checked before any of them does.

The file may come from anybody: what lacks these parts, or holds others in their places, is broken, and no rule's crash.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict


class _Verdict(TypedDict):
    subject: str
    limit: float
    is_upper: bool
    value: float | None
    lower: float | None
    upper: float | None
    outcome: str
    text: str
    p_value: NotRequired[float | None]


class _Candidate(TypedDict):
    name: str
    metrics: dict[str, float]
    drop: dict[str, float]
    gzip_bytes: int | None
    verdict: str
    verdicts: list[_Verdict]
    confidence: NotRequired[float | None]


class _Config(TypedDict):
    confidence: float
    goal: str
    thresholds: list[dict[str, Any]]


class _Baseline(TypedDict):
    metrics: dict[str, float]


class _Evaluation(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True)  # type: ignore[misc]

    num_examples: int
    config: _Config
    baseline: _Baseline
    candidates: list[_Candidate]
    chosen: str | None


def evaluation_problem(content: Any) -> str:
    """Says what is wrong with the content of an `evaluation.json`; empty when rules can judge by it."""
    try:
        _adapter().validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'the whole'}: {first['msg']}"
    return ""


@cache
def _adapter() -> TypeAdapter[Mapping[str, Any]]:
    return TypeAdapter(_Evaluation)
