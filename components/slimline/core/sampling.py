"""A sample that depends on the records, the seed and k alone: not on order, shards, workers or runner.

Every distinct record gets a rank, a keyed BLAKE2b hash of its bytes (RFC 7693); the sample is the k records of smallest
rank ("bottom-k", Cohen and Kaplan 2007). Ranks are independent of the data, so this is a simple random sample of the
distinct records, and the bottom-k of a union is the bottom-k of the parts' bottom-k: it merges in any order.
"""

import hashlib
import heapq
from collections.abc import Iterable
from typing import Literal, TypeAlias

from pydantic import Field

from slimline.core.config import Config

ALGORITHM = "bottom-k/blake2b-128/1"
_RANK_BYTES = 16

RankedRecord: TypeAlias = tuple[bytes, bytes]


class SamplingConfig(Config):
    """How many records to sample, and which.

    Attributes:
      num_records: k, the number of distinct records wanted; LiteRT advises a few hundred.
      seed: Another seed gives another, independent sample.
      split: Name of the Examples split to draw from; never the one that the EdgeValidator reads.
      shortage: What to do when there are fewer distinct records than asked for.
    """

    num_records: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    split: str = Field(default="train", min_length=1)
    shortage: Literal["error", "take_all"] = "error"


def rank(record: bytes, seed: int) -> bytes:
    """Returns a record's rank: 16 bytes, uniformly distributed over seeds."""
    return hashlib.blake2b(record, digest_size=_RANK_BYTES, key=seed.to_bytes(8, "big")).digest()


def record_digest(record: bytes) -> str:
    """Returns `sha256:<hex>` of a record's bytes."""
    return "sha256:" + hashlib.sha256(record).hexdigest()


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

    def add(self, record_rank: bytes, record: bytes) -> None:
        """Takes a record into account; a record that was seen before changes nothing."""
        key = -int.from_bytes(record_rank, "big")
        if len(self._heap) == self._num_records and key <= self._heap[0][0]:
            return
        if key in self._kept:
            return
        self._kept.add(key)
        if len(self._heap) < self._num_records:
            heapq.heappush(self._heap, (key, record))
        else:
            removed, _ = heapq.heapreplace(self._heap, (key, record))
            self._kept.discard(removed)

    def ranked(self) -> list[RankedRecord]:
        """Returns (rank, record) pairs in ascending order of rank."""
        ordered = sorted(self._heap, reverse=True)
        return [((-key).to_bytes(_RANK_BYTES, "big"), record) for key, record in ordered]


def bottom_k(records: Iterable[bytes], num_records: int, seed: int) -> list[RankedRecord]:
    """Returns the `num_records` distinct records of smallest rank, or all when there are fewer, in order of rank.

    >>> [record for _, record in bottom_k([b"a", b"b", b"a"], num_records=5, seed=0)]
    [b'a', b'b']
    """
    sample = BottomK(num_records)
    for record in records:
        sample.add(rank(record, seed), record)
    return sample.ranked()


def merge(parts: Iterable[Iterable[RankedRecord]], num_records: int) -> list[RankedRecord]:
    """Returns the bottom-k of the union of several bottom-k samples."""
    sample = BottomK(num_records)
    for part in parts:
        for record_rank, record in part:
            sample.add(record_rank, record)
    return sample.ranked()
