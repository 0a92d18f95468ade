"""Bounds that hold however often one looks, while more examples come in.

A gambler who starts with 1 and bets on every example that the limit is kept can't expect to win while it is broken. So
the chance that the capital ever reaches 1 / alpha is at most alpha (Ville 1939), at every look at once. Betting against
a bounded mean is Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 86, 2024);
capital spread evenly over many fixed stakes depends on counts alone, not on the order of the examples.
"""

import numpy as np
from scipy import optimize, special

_NUM_STAKES = 200


def anytime_tail(values: np.ndarray, counts: np.ndarray, worst: float, best: float, limit: float) -> float:
    """Returns a p-value, valid at all looks together, for a mean that is over a limit.

    Args:
      values: Different values of the examples.
      counts: How often each was seen.
      worst: Largest value possible.
      best: Smallest value possible.
      limit: Largest mean allowed.
    """
    if limit >= worst:
        return 0.0
    if limit <= best:
        return 1.0
    # What an example wins per unit staked: as much as it stays below the limit.
    gains = limit - values
    # Stakes up to the one at which the worst example would take everything.
    stakes = (np.arange(_NUM_STAKES) + 0.5) / _NUM_STAKES / (worst - limit)
    logs = (counts[:, np.newaxis] * np.log1p(np.outer(gains, stakes))).sum(axis=0)
    return float(min(1.0, np.exp(-(special.logsumexp(logs) - np.log(_NUM_STAKES)))))


def anytime_bound(values: np.ndarray, counts: np.ndarray, worst: float, best: float, level: float) -> float:
    """Returns the upper bound of a mean that holds at all looks; the arguments are those of `anytime_tail`."""
    mean = float((values * counts).sum() / counts.sum())

    def excess(limit: float) -> float:
        return anytime_tail(values, counts, worst, best, limit) - (1 - level)

    low, high = max(mean, best + 1e-12), worst - 1e-9 * (worst - best)
    if low >= high or excess(high) > 0:
        return worst
    return float(optimize.brentq(excess, low, high, xtol=1e-9)) if excess(low) > 0 else low
