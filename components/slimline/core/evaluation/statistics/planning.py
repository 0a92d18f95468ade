"""How many examples would decide an undecided limit, and which way."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from scipy import stats

from slimline.core.evaluation.statistics.evidence import Evidence, MetricCounts, Question
from slimline.core.evaluation.statistics.moments import Moments

# The probability with which so many examples decide.
POWER = 0.9
_MAX_EXAMPLES = 1e9
_GROWTH = 1.25
_MAX_STEPS = 40


@dataclass(frozen=True)
class Plan:
    """A number of examples.

    Attributes:
      num_examples: That decide with 90% probability; None when no number would do soon.
      tends_to: `pass` or `fail`: which way they decide if the figures stay as they are; empty without a number.
    """

    num_examples: int | None
    tends_to: str

    def text(self, anytime: bool, slice_name: str = "") -> str:
        """Returns the plan in words.

        Args:
          anytime: Whether the examples come on top of those that there are.
          slice_name: Of which slice they have to be; empty for all of the data.
        """
        if self.num_examples is None:
            return "and no number of examples would decide soon: the figure is too near to the limit"
        kind = "more" if anytime else "fresh"
        place = f" of {slice_name}" if slice_name else ""
        number = f"about {self.num_examples:,} {kind} examples{place}"
        return f"{number} would decide with 90% probability, to {self.tends_to}"


def plan_examples(
    counts: MetricCounts,
    ask: Callable[[MetricCounts, Question], Evidence],
    question: Question,
    num_examples: int,
    *,
    is_upper: bool,
) -> Plan:
    """Returns how many examples like these would decide.

    The distance between figure and limit must be as many standard errors as level and power ask for together (Julious,
    Sample Sizes for Clinical Trials, 2010); then the counts are scaled to that number and asked again, since the
    imagined worst example asks for a number of its own, however small the spread.

    Args:
      counts: What was counted.
      ask: What makes evidence of counts.
      question: The limit.
      num_examples: Examples counted.
      is_upper: Whether the limit is the largest value allowed.
    """
    evidence = ask(counts, question)
    distance = (question.limit - evidence.value) if is_upper else (evidence.value - question.limit)
    tends_to = "pass" if distance > 0 else "fail"
    reach = (evidence.upper - evidence.value) if is_upper == (distance > 0) else (evidence.value - evidence.lower)
    if distance == 0 or not math.isfinite(reach):
        return Plan(None, "")
    level, power = float(stats.norm.ppf(question.level)), float(stats.norm.ppf(POWER))
    root = (level + power) / level * reach / abs(distance)
    if root**2 * num_examples > _MAX_EXAMPLES if root < _MAX_EXAMPLES else True:
        return Plan(None, "")
    factor = max(1.0, root**2)
    for _ in range(_MAX_STEPS):
        if factor * num_examples > _MAX_EXAMPLES:
            return Plan(None, "")
        found = ask(_scaled(counts, factor), question)
        worst, best = (found.upper, found.lower) if is_upper else (-found.lower, -found.upper)
        limit = question.limit if is_upper else -question.limit
        if (worst <= limit) if tends_to == "pass" else (best > limit):
            total = math.ceil(factor * num_examples)
            return Plan(max(1, total - num_examples) if question.anytime else total, tends_to)
        factor *= _GROWTH
    return Plan(None, "")


def _scaled(counts: MetricCounts, factor: float) -> MetricCounts:
    scaled = MetricCounts.empty()
    # Whole numbers are not needed for a plan.
    scaled.joint.by_code = {code: number * factor for code, number in counts.joint.by_code.items()}  # type: ignore[misc]
    times, moments = Fraction(factor), counts.moments
    scaled.moments = Moments(
        number=round(moments.number * factor),
        **{name: getattr(moments, name) * times for name in ("b", "c", "bb", "cc", "dd")},
        num_differing=round(moments.num_differing * factor),
        largest=moments.largest,
        largest_b=moments.largest_b,
        largest_c=moments.largest_c,
    )
    return scaled
