"""Sums of floats that are exact, so that they do not depend on the order in which workers finish."""

from fractions import Fraction

import numpy as np

_MANTISSA_BITS = 53
_LOW_BITS = 26


def exact_sum(values: np.ndarray) -> Fraction:
    """Returns the sum of finite floats without any rounding.

    Numbers of one exponent are added as integers, in two halves that can't overflow before 2^36 of them.

    Args:
      values: Finite, of any shape.
    """
    mantissas, exponents = np.frexp(np.asarray(values, np.float64).ravel())
    whole = np.ldexp(mantissas, _MANTISSA_BITS).astype(np.int64)
    total = Fraction(0)
    if not whole.size:
        return total
    base = int(exponents.min())
    spread = exponents - base
    high, low = whole >> _LOW_BITS, whole & ((1 << _LOW_BITS) - 1)
    integer = 0
    for exponent in np.unique(spread).tolist():
        chosen = spread == exponent
        part = (int(high[chosen].sum()) << _LOW_BITS) + int(low[chosen].sum())
        integer += part << exponent
    shift = base - _MANTISSA_BITS
    return Fraction(integer << shift) if shift >= 0 else Fraction(integer, 1 << -shift)
