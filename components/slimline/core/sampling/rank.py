"""A sample that depends on the records and the configuration alone: not on order, shards, workers or runner.

Every distinct record gets a rank, a keyed BLAKE2b hash of its bytes (RFC 7693); the sample is the k records of smallest
rank ("bottom-k", Cohen and Kaplan 2007). Ranks are independent of the data, so this is a simple random sample of the
distinct records. Strata and extremes reserve places in it first.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from slimline.core.config import Config
from slimline.core.sampling.sketch import RANK_BYTES, BottomK, Extremes, RankedRecord, Sketch
from slimline.errors import ExamplesError

# Raised whenever the same records and configuration would give another sample.
ALGORITHM = "bottom-k/blake2b-128/2"

OnProblem: TypeAlias = Literal["error", "warn"]


class Strata(Config):
    """Reserves places in a sample for every value of a feature.

    Attributes:
      feature: Of one integer or string per record, as a label.
      min_records: The floor: distinct records of each value that the sample holds at least.
    """

    feature: str = Field(min_length=1)
    min_records: int = Field(default=1, ge=1)


class SamplingConfig(Config):
    """How many records to sample, which, and what must be true of them.

    Attributes:
      num_records: k, the number of distinct records wanted; LiteRT advises a few hundred.
      seed: Another seed gives another, independent sample.
      split: Name of the Examples split to draw from.
      strata: Values of a feature that must all be in the sample; none when left out.
      extremes: Features whose records of smallest and largest value are taken as well. Outliers stretch the ranges that
        are measured, so name features only whose extremes do occur on the device.
      evaluation_split: The split that the EdgeValidator reads, or None when there is none. A record in both would
        be judged by what it helped to make.
      on_overlap: What to do when a sampled record is in the evaluation split too.
      on_non_finite: What to do about NaN or infinity.
      on_constant: What to do about an input that is the same in all sampled records.
      on_shortage: What to do when there are fewer distinct records than asked for, in all or of one stratum.
      custom_objects: Dotted path of a module with layers and functions of the user's own, when a model is wired.
    """

    num_records: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    split: str = Field(default="train", min_length=1)
    strata: Strata | None = None
    extremes: tuple[str, ...] = ()
    evaluation_split: str | None = "eval"
    on_overlap: OnProblem = "error"
    on_non_finite: OnProblem = "error"
    on_constant: OnProblem = "error"
    on_shortage: OnProblem = "error"
    custom_objects: str | None = None

    @model_validator(mode="after")
    def _check(self) -> "SamplingConfig":
        if self.split == self.evaluation_split:
            raise ValueError("another split than evaluation_split: calibration must not see what the gate measures on")
        if len(set(self.extremes)) != len(self.extremes):
            raise ValueError("each feature once in extremes")
        reserved = 2 * len(self.extremes) + (self.strata.min_records if self.strata else 0)
        if reserved > self.num_records:
            raise ValueError(f"num_records of at least {reserved}, which extremes and strata reserve")
        return self

    @property
    def max_strata(self) -> int:
        """How many strata the sample has places for."""
        assert self.strata is not None
        return (self.num_records - 2 * len(self.extremes)) // self.strata.min_records


@dataclass(frozen=True)
class SampledRecord:
    """A record of the sample.

    Attributes:
      rank: 16 bytes.
      record: The serialized record.
      reasons: Why a place was reserved for it, as `stratum 3` or `largest age`; empty for most.
    """

    rank: bytes
    record: bytes
    reasons: tuple[str, ...] = ()


def record_rank(record: bytes, seed: int) -> bytes:
    """Returns a record's rank: 16 bytes, uniformly distributed over seeds."""
    keyed = _keyed(seed).copy()
    keyed.update(record)
    return keyed.digest()


@cache
def _keyed(seed: int) -> "hashlib.blake2b":
    """Returns a hash that has taken in the key: half of the work for a short record."""
    return hashlib.blake2b(digest_size=RANK_BYTES, key=seed.to_bytes(8, "big"))


def record_digest(record: bytes) -> str:
    """Returns `sha256:<hex>` of a record's bytes."""
    return "sha256:" + hashlib.sha256(record).hexdigest()


def bottom_k(records: Iterable[bytes], num_records: int, seed: int) -> list[RankedRecord]:
    """Returns the `num_records` distinct records of smallest rank, or all when there are fewer, in order of rank.

    >>> [record for _, record in bottom_k([b"a", b"b", b"a"], num_records=5, seed=0)]
    [b'a', b'b']
    """
    sample = BottomK(num_records)
    for record in records:
        sample.add(record_rank(record, seed), record)
    return sample.ranked()


def select(
    overall: Sketch, strata: Mapping[str, Sketch], extremes: Mapping[str, Extremes], config: SamplingConfig
) -> list[SampledRecord]:
    """Fills the sample: extremes first, then the floor of each stratum, then whatever has the smallest rank.

    Args:
      overall: Of all records, of size k.
      strata: By stratum, each of the size of the floor.
      extremes: By feature.
      config: What is asked for.

    Returns:
      Distinct records in order of rank, at most k.

    Raises:
      ExamplesError: There are more strata than places.
    """
    reasons: dict[RankedRecord, list[str]] = {}
    for feature, ends in extremes.items():
        if ends.smallest is not None and ends.largest is not None:
            reasons.setdefault(ends.smallest.ranked, []).append(f"smallest {feature}")
            reasons.setdefault(ends.largest.ranked, []).append(f"largest {feature}")
    if config.strata is not None and len(strata) > config.max_strata:
        raise too_many_strata(config)
    for name, sketch in sorted(strata.items()):
        for ranked in sketch.records:
            reasons.setdefault(ranked, []).append(f"stratum {name}")
    for ranked in overall.records:
        if len(reasons) >= config.num_records:
            break
        reasons.setdefault(ranked, [])
    return [SampledRecord(*ranked, tuple(why)) for ranked, why in sorted(reasons.items())]


def too_many_strata(config: SamplingConfig) -> ExamplesError:
    """Explains that a feature has more values than the sample has places."""
    assert config.strata is not None
    return ExamplesError(
        f"more than {config.max_strata} values of feature {config.strata.feature!r}",
        f"as many as {config.num_records} records hold, with {config.strata.min_records} of each",
        "raise num_records, lower strata.min_records, or choose a feature of fewer values",
    )
