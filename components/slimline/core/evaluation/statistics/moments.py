"""Exact sums of two numbers per example, the baseline's and the candidate's, for metrics that are means."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from slimline.core.evaluation.statistics.exact_sums import exact_sum


@dataclass
class Moments:
    """Sums over examples of the baseline's number b, the candidate's c, and of what they are squared and multiplied.

    Attributes:
      number: Examples.
      b: Sum of b.
      c: Sum of c.
      bb: Sum of b².
      cc: Sum of c².
      dd: Sum of (c - b)².
      num_differing: Examples with another c than b.
      largest: Largest (c - b)².
      largest_b: Largest b².
      largest_c: Largest c².
    """

    number: int = 0
    b: Fraction = Fraction(0)
    c: Fraction = Fraction(0)
    bb: Fraction = Fraction(0)
    cc: Fraction = Fraction(0)
    dd: Fraction = Fraction(0)
    num_differing: int = 0
    largest: float = 0.0
    largest_b: float = 0.0
    largest_c: float = 0.0

    def add(self, baseline: np.ndarray, candidate: np.ndarray) -> None:
        """Adds the numbers of a batch, each of shape (batch,)."""
        squares = np.square(candidate - baseline)
        self.number += len(candidate)
        self.b += exact_sum(baseline)
        self.c += exact_sum(candidate)
        self.bb += exact_sum(np.square(baseline))
        self.cc += exact_sum(np.square(candidate))
        self.dd += exact_sum(squares)
        self.num_differing += int(np.count_nonzero(squares))
        self.largest = max(self.largest, float(squares.max(initial=0)))
        self.largest_b = max(self.largest_b, float(np.square(baseline).max(initial=0)))
        self.largest_c = max(self.largest_c, float(np.square(candidate).max(initial=0)))

    def merge(self, other: "Moments") -> None:
        """Adds other sums to these."""
        for name in ("number", "b", "c", "bb", "cc", "dd", "num_differing"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest = max(self.largest, other.largest)
        self.largest_b = max(self.largest_b, other.largest_b)
        self.largest_c = max(self.largest_c, other.largest_c)

    @property
    def means(self) -> tuple[float, float]:
        """Means of b and c."""
        return float(self.b / self.number), float(self.c / self.number)

    @property
    def bc(self) -> Fraction:
        """Sum of b · c."""
        return (self.bb + self.cc - self.dd) / 2
