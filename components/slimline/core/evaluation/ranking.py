"""Which of the candidates that pass is shipped, which are worth a look, and which came closest when none passes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slimline.core.evaluation.gates import Goal, WeightedGoal
from slimline.core.evaluation.judging import Verdict


@dataclass(frozen=True)
class Contender:
    """What candidates are compared by.

    Attributes:
      loss: How much worse than the baseline in the primary metric; less is better.
      size_bytes: Of the file.
      gzip_bytes: Of the file after gzip.
      latency_ms: Median on this host; None when it was not measured.
      target_bytes: What its weights and code take on the target with a compiler; None without one.
      target_latency_us: Its time there; None likewise.
    """

    loss: float
    size_bytes: int
    gzip_bytes: int
    latency_ms: float | None
    target_bytes: int | None = None
    target_latency_us: float | None = None


def rank_candidates(contenders: Mapping[str, Contender], goal: Goal | Sequence[WeightedGoal]) -> list[str]:
    """Returns names, the best first.

    With several goals each candidate gets, for each goal, its distance from the best as a share of the distance between
    best and worst; the weighted sum is what counts. Ties go to the smaller file, then to the name that sorts first.

    Args:
      contenders: By name.
      goal: One, or several with weights.
    """
    goals = [WeightedGoal(goal=goal, weight=1)] if isinstance(goal, str) else list(goal)
    scores = dict.fromkeys(contenders, 0.0)
    for one in goals:
        values = {name: _value(contender, one.goal) for name, contender in contenders.items()}
        known = [value for value in values.values() if math.isfinite(value)]
        best, worst = min(known, default=0.0), max(known, default=0.0)
        for name, value in values.items():
            share = (value - best) / (worst - best) if math.isfinite(value) and worst > best else 0.0
            # What is not known comes after the worst.
            scores[name] += one.weight * (share if math.isfinite(value) else 2.0)
    return sorted(contenders, key=lambda name: (scores[name], contenders[name].gzip_bytes, name))


def pareto_members(contenders: Mapping[str, Contender]) -> list[str]:
    """Returns the names of those that no other beats: as good in loss, gzip bytes and latency, and better in one."""

    def beats(one: Contender, other: Contender) -> bool:
        pairs = [(one.loss, other.loss), (one.gzip_bytes, other.gzip_bytes)]
        if one.latency_ms is not None and other.latency_ms is not None:
            pairs.append((one.latency_ms, other.latency_ms))
        return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)

    return [
        name
        for name, contender in contenders.items()
        if not any(beats(other, contender) for key, other in contenders.items() if key != name)
    ]


def nearest_miss(verdicts: Mapping[str, Sequence[Verdict]]) -> str | None:
    """Returns the name of the candidate with the fewest limits that it does not keep, and of those the smallest excess.

    Args:
      verdicts: By name; a candidate without any could not be judged and is left out.
    """

    def distance(name: str) -> tuple[int, float, str]:
        missed = [verdict for verdict in verdicts[name] if verdict.outcome in ("fail", "undecided")]
        return len(missed), sum(_excess(verdict) for verdict in missed), name

    judged = [name for name, listed in verdicts.items() if listed]
    return min(judged, key=distance) if judged else None


def _value(contender: Contender, goal: Goal) -> float:
    if goal == "smallest":
        return contender.gzip_bytes
    if goal == "most_accurate":
        return contender.loss
    known = {
        "fastest": contender.latency_ms,
        "smallest_on_target": contender.target_bytes,
        "fastest_on_target": contender.target_latency_us,
    }[goal]
    return known if known is not None else float("inf")


def _excess(verdict: Verdict) -> float:
    if verdict.value is None:
        return float("inf")
    beyond = verdict.value - verdict.limit if verdict.is_upper else verdict.limit - verdict.value
    return max(0.0, beyond) / max(abs(verdict.limit), 1e-9)
