"""Exact bounds of shares: of right answers, and of their difference between two models on the same examples."""

import math
from collections.abc import Callable

import numpy as np
from scipy import optimize, special, stats

_NODES = 512


def drop_tail(num_worse: float, num_better: float, num_same: float, limit: float) -> float:
    """Returns the chance that a share drops by more than a limit, under random weights.

    The weights of the three kinds of examples are Dirichlet distributed. Their sum over those that differ, and the part
    of the worse ones in it, are independent Beta variables; the chance is an integral over the first.

    Args:
      num_worse: Examples that the baseline alone gets right, with an imagined one.
      num_better: Examples that the candidate alone gets right.
      num_same: The others.
      limit: Largest drop allowed.

    >>> round(drop_tail(1, 0, 299, 0.01), 4)
    0.0495
    """
    return _tail(num_worse, num_better, num_same)(limit)


def _tail(num_worse: float, num_better: float, num_same: float) -> Callable[[float], float]:
    """Returns the chance as a function of the limit."""
    if num_worse <= 0:
        return lambda limit: 0.0 if limit >= 0 else _mirrored(num_better, num_same, limit)
    if num_better <= 0:
        return lambda limit: _sf(num_worse, num_same, limit)
    sums = np.ones(1)
    if num_same > 0:
        nodes = (np.arange(_NODES) + 0.5) / _NODES
        sums = np.maximum(stats.beta.ppf(nodes, num_worse + num_better, num_same), 1e-300)
    return lambda limit: float(special.betaincc(num_worse, num_better, np.clip((1 + limit / sums) / 2, 0, 1)).mean())


def _mirrored(num_better: float, num_same: float, limit: float) -> float:
    """The drop is minus the weight of the better ones: whether that stays above a negative limit."""
    if num_better <= 0:
        return 1.0
    return float(stats.beta.cdf(-limit, num_better, num_same)) if num_same > 0 else float(-limit > 1)


def _sf(number: float, others: float, limit: float) -> float:
    if others <= 0:
        return float(limit < 1)
    return float(stats.beta.sf(limit, number, others))


def drop_bound(num_worse: float, num_better: float, num_same: float, level: float) -> float:
    """Returns the upper bound of a drop; the arguments are those of `drop_tail`."""
    tail = _tail(num_worse, num_better, num_same)
    return _solve(lambda limit: tail(limit) - (1 - level), -1.0, 1.0)


def value_tail(num_right: float, num_wrong: float, limit: float) -> float:
    """Returns the chance that a share is below a limit: Clopper and Pearson (Biometrika 26, 1934).

    Args:
      num_right: Examples with the property.
      num_wrong: The others, with an imagined one.
      limit: Smallest share wanted.
    """
    if num_right <= 0:
        return float(limit > 0)
    if num_wrong <= 0:
        return float(limit > 1)
    return float(stats.beta.cdf(limit, num_right, num_wrong))


def value_bound(num_right: float, num_wrong: float, level: float) -> float:
    """Returns the lower bound of a share; the arguments are those of `value_tail`."""
    if num_right <= 0:
        return 0.0
    return float(stats.beta.ppf(1 - level, num_right, num_wrong)) if num_wrong > 0 else 1.0


def _solve(excess: Callable[[float], float], low: float, high: float) -> float:
    if excess(low + 1e-12) <= 0:
        return low
    if excess(high - 1e-12) >= 0:
        return high
    found = optimize.brentq(excess, low + 1e-12, high - 1e-12, xtol=1e-9)
    return float(found) if math.isfinite(found) else high
