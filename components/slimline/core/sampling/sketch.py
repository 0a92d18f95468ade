"""Mergeable parts of a sample: each stands for some of the records, and any order of merging gives the same whole."""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

RANK_BYTES = 16
# Above every rank.
ALL = 1 << (8 * RANK_BYTES)

RankedRecord: TypeAlias = tuple[bytes, bytes]


class BottomK:
    """Collects the k distinct records of smallest rank, in memory proportional to k.

    Args:
      num_records: k.
    """

    def __init__(self, num_records: int) -> None:
        self._num_records = num_records
        # A heap with the largest rank on top: ranks are compared as negated integers.
        self._heap: list[tuple[int, bytes]] = []
        self._kept: set[int] = set()
        # Nothing of this rank or a larger one is taken any more. Bytes compare as the numbers do.
        self._bound = b"\xff" * (RANK_BYTES + 1)

    def add(self, record_rank: bytes, record: bytes) -> None:
        """Takes a record into account; a record that was seen before changes nothing."""
        if record_rank >= self._bound:
            return
        key = -int.from_bytes(record_rank, "big")
        if key in self._kept:
            return
        self._kept.add(key)
        if len(self._heap) < self._num_records:
            heapq.heappush(self._heap, (key, record))
        else:
            removed, _ = heapq.heapreplace(self._heap, (key, record))
            self._kept.discard(removed)
        if len(self._heap) == self._num_records:
            self._bound = (-self._heap[0][0]).to_bytes(RANK_BYTES, "big")

    def ranked(self) -> list[RankedRecord]:
        """Returns (rank, record) pairs in ascending order of rank."""
        ordered = sorted(self._heap, reverse=True)
        return [((-key).to_bytes(RANK_BYTES, "big"), record) for key, record in ordered]


@dataclass(frozen=True)
class Sketch:
    """The distinct records of smallest rank among those seen.

    Attributes:
      size: Records kept at most.
      records: In ascending order of rank: all that were seen with a rank below `complete_below`, or the first `size` of
        them.
      complete_below: From this rank on, records may have been left out.
    """

    size: int
    records: tuple[RankedRecord, ...] = ()
    complete_below: int = ALL

    @property
    def is_exact(self) -> bool:
        """Whether it holds the bottom-k of everything seen, whatever was left out on the way."""
        is_full = len(self.records) == self.size and as_number(self.records[-1][0]) < self.complete_below
        return is_full or self.complete_below == ALL

    def estimate_distinct(self) -> int:
        """Returns how many distinct records were seen: exactly below `size`, an estimate from there on (1 for size 1).

        The estimator is (k - 1) / (the k-th smallest rank as a share of all ranks), unbiased and with a relative
        standard error of about 1 / sqrt(k - 2) (Bar-Yossef et al. 2002, Beyer et al. 2007).
        """
        if len(self.records) < self.size or self.size == 1:
            return len(self.records)
        return max(len(self.records), round((self.size - 1) * ALL / (as_number(self.records[-1][0]) + 1)))

    def thinned(self, share: float, margin: float) -> "Sketch":
        """Leaves out the records that will hardly be among the smallest of the whole.

        Without it each of S shards would send k records to where they are merged. The threshold is the rank below which
        the whole is expected to have k records, with six standard deviations on top; that it was high enough is known
        after the merge (`is_exact`).

        Args:
          share: Of the whole that this sketch has seen, in (0, 1].
          margin: Factor on the threshold; infinity leaves out nothing.
        """
        expected = self.estimate_distinct() / share
        wanted = margin * (self.size + 6 * math.sqrt(self.size))
        if not expected or wanted >= expected:
            return self
        threshold = int(wanted / expected * ALL)
        records = tuple(ranked for ranked in self.records if as_number(ranked[0]) < threshold)
        return self if len(records) == len(self.records) else Sketch(self.size, records, threshold)


def sketch(collected: BottomK, size: int) -> Sketch:
    """Returns what was collected as a sketch."""
    return Sketch(size, tuple(collected.ranked()))


def merge_sketches(parts: Iterable[Sketch], size: int) -> Sketch:
    """Returns the sketch of everything that the parts have seen."""
    merged = BottomK(size)
    complete_below = ALL
    for part in parts:
        complete_below = min(complete_below, part.complete_below)
        for record_rank, record in part.records:
            merged.add(record_rank, record)
    records = tuple(ranked for ranked in merged.ranked() if as_number(ranked[0]) < complete_below)
    return Sketch(size, records, complete_below)


@dataclass(frozen=True)
class Valued:
    """A record with its value of a feature."""

    value: float
    ranked: RankedRecord


@dataclass(frozen=True)
class Extremes:
    """The records of the smallest and the largest value of a feature; of equal ones, the record of smaller rank."""

    smallest: Valued | None = None
    largest: Valued | None = None

    def including(self, other: "Extremes") -> "Extremes":
        """Returns the extremes of both."""
        smallest = [end for end in (self.smallest, other.smallest) if end is not None]
        largest = [end for end in (self.largest, other.largest) if end is not None]
        return Extremes(
            min(smallest, key=lambda end: (end.value, end.ranked), default=None),
            min(largest, key=lambda end: (-end.value, end.ranked), default=None),
        )


def as_number(record_rank: bytes) -> int:
    """Returns a rank as an integer from 0 to `ALL`, without `ALL`."""
    return int.from_bytes(record_rank, "big")
