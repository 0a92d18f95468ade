"""Counts of joint outcomes: how often the baseline did this and the candidate that on the same example.

They are whole numbers, add up over batches, files and workers in any order, and are all that bounds need.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class JointCounts:
    """How often each outcome was seen.

    Attributes:
      by_code: Number of examples by the outcome's code, which only the metric can read.
    """

    by_code: dict[int, int] = field(default_factory=dict)

    def add(self, codes: np.ndarray) -> None:
        """Counts outcomes.

        Args:
          codes: Integers, of any shape.
        """
        found, numbers = np.unique(codes, return_counts=True)
        for code, number in zip(found.tolist(), numbers.tolist(), strict=True):
            self.by_code[code] = self.by_code.get(code, 0) + number

    def merge(self, other: "JointCounts") -> None:
        """Adds other counts to these."""
        for code, number in other.by_code.items():
            self.by_code[code] = self.by_code.get(code, 0) + number

    def arrays(self, design: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Returns codes in ascending order, and how many independent examples each stands for.

        Args:
          design: Examples that count as one, from `independence`.
        """
        codes = np.array(sorted(self.by_code), np.int64)
        counts = np.array([self.by_code[code] for code in codes.tolist()], np.float64)
        return codes, counts / design

    def of(self, codes: Iterable[int]) -> int:
        """Returns how often any of some outcomes was seen."""
        return sum(self.by_code.get(code, 0) for code in codes)
