"""How sure a measured figure is: confidence bounds of drops between paired models, and of values.

All bounds are one-sided: with a level of 0.95, the true figure is beyond a bound in at most about 5% of the cases.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

_CONTINUITY = 0.5


@dataclass(frozen=True)
class Estimate:
    """A figure and its one-sided bounds.

    Attributes:
      value: As measured.
      lower: It is smaller with a probability of 1 - level at most.
      upper: It is larger with a probability of 1 - level at most.
    """

    value: float
    lower: float
    upper: float


def paired_share_drop(num_worse: int, num_better: int, num_examples: int, level: float) -> Estimate:
    """Estimates the difference between two shares of the same examples.

    Tango's score interval (Statistics in Medicine 17, 1998), which says something even when no example differs. Counts
    are whole numbers, so that its level is missed by a little now and then: half an example is added to each side, as
    Yates' correction does, which keeps the level (benchmarks/decisions.py).

    Args:
      num_worse: Examples that the baseline alone gets right.
      num_better: Examples that the candidate alone gets right.
      num_examples: All of them.
      level: In (0, 1).

    >>> round(paired_share_drop(12, 5, 400, 0.95).upper, 4)
    0.0358
    """
    value = (num_worse - num_better) / num_examples
    z = float(stats.norm.ppf(level))
    return Estimate(
        value,
        -_tango_upper(num_better, num_worse, num_examples, z),
        _tango_upper(num_worse, num_better, num_examples, z),
    )


def _tango_upper(num_worse: int, num_better: int, number: int, z: float) -> float:
    def excess(difference: float) -> float:
        # The share of better examples that is most likely if the difference were the true one.
        linear = (2 * number - num_worse + num_better) * difference - num_worse - num_better
        constant = -num_better * difference * (1 - difference)
        better = (math.sqrt(max(0.0, linear**2 - 8 * number * constant)) - linear) / (4 * number)
        variance = number * (2 * better + difference * (1 - difference))
        return num_worse - num_better + _CONTINUITY - number * difference + z * math.sqrt(max(variance, 1e-300))

    estimate = (num_worse - num_better) / number
    if estimate >= 1:
        return 1.0
    return float(optimize.brentq(excess, max(estimate, -1 + 1e-12), 1 - 1e-12)) if excess(1 - 1e-12) < 0 else 1.0


def share(num_successes: int, num_examples: int, level: float) -> Estimate:
    """Estimates a share: Wilson's score interval, as SciPy computes it."""
    # A two-sided interval of this level has one-sided ends of the level asked for.
    two_sided = 2 * level - 1
    found = stats.binomtest(num_successes, num_examples).proportion_ci(max(two_sided, 0.0), method="wilson")
    return Estimate(num_successes / num_examples, float(found.low), float(found.high))


def mean(total: float, total_of_squares: float, num_examples: int, level: float) -> Estimate:
    """Estimates the mean of numbers by Student's t; for paired models, the numbers are the differences.

    Args:
      total: Sum of the numbers.
      total_of_squares: Sum of their squares.
      num_examples: How many.
      level: In (0, 1).
    """
    value = total / num_examples
    if num_examples < 2:
        return Estimate(value, -math.inf, math.inf)
    variance = max(0.0, (total_of_squares - num_examples * value**2) / (num_examples - 1))
    reach = float(stats.t.ppf(level, num_examples - 1)) * math.sqrt(variance / num_examples)
    return Estimate(value, value - reach, value + reach)


def jackknife(value: float, without: np.ndarray, level: float) -> Estimate:
    """Estimates any figure from what it is without each of several random groups of examples.

    The delete-a-group jackknife (Kott, Journal of Official Statistics 17, 2001), for groups of about equal size.

    Args:
      value: Of all examples.
      without: Of all examples but one group, of shape (groups,).
      level: In (0, 1).
    """
    number = len(without)
    if number < 2:
        return Estimate(value, -math.inf, math.inf)
    variance = (number - 1) / number * float(np.square(without - without.mean()).sum())
    reach = float(stats.t.ppf(level, number - 1)) * math.sqrt(variance)
    return Estimate(value, value - reach, value + reach)


def num_examples_to_decide(estimate: Estimate, limit: float, num_examples: int) -> int | None:
    """Returns about how many more examples would show on which side of a limit a figure is.

    It takes the figure as it is and lets its interval shrink with the root of the number.

    Returns:
      A number of further examples; None when the figure is on the limit, where no number would do.
    """
    distance = abs(limit - estimate.value)
    reach = (estimate.upper if limit >= estimate.value else estimate.value) - (
        estimate.value if limit >= estimate.value else estimate.lower
    )
    if distance == 0 or not math.isfinite(reach):
        return None
    ratio = reach / distance
    needed = num_examples * ratio**2 if ratio < 1e6 else math.inf
    return max(1, math.ceil(needed - num_examples)) if needed < 1e12 else None
