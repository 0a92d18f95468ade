import hashlib
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slimline.core.sampling import ALGORITHM, BottomK, SamplingConfig, bottom_k, merge, rank, record_digest
from slimline.errors import ConfigError

RECORDS = st.lists(st.binary(max_size=3), max_size=40)
SIZES = st.integers(1, 50)
SEEDS = st.integers(0, 2**63 - 1)


@given(RECORDS, SIZES, SEEDS)
def test_the_sample_is_the_distinct_records_of_smallest_rank_in_that_order(records, k, seed):
    expected = sorted((rank(record, seed), record) for record in set(records))[:k]
    assert bottom_k(records, k, seed) == expected


@given(RECORDS, SIZES, SEEDS, st.data())
def test_neither_order_nor_duplicates_matter(records, k, seed, data):
    duplicates = data.draw(st.lists(st.sampled_from(records))) if records else []
    shuffled = data.draw(st.permutations(records + duplicates))
    assert bottom_k(shuffled, k, seed) == bottom_k(records, k, seed)


@given(st.lists(RECORDS, max_size=6), SIZES, SEEDS, st.data())
def test_neither_shards_nor_the_grouping_of_merges_matter(shards, k, seed, data):
    parts = data.draw(st.permutations([bottom_k(shard, k, seed) for shard in shards]))
    cut = data.draw(st.integers(0, len(parts)))
    whole = bottom_k([record for shard in shards for record in shard], k, seed)
    assert merge(parts, k) == whole
    assert merge([merge(parts[:cut], k), merge(parts[cut:], k)], k) == whole


@given(RECORDS, SIZES, SIZES, SEEDS)
def test_a_smaller_sample_is_the_beginning_of_a_larger_one(records, small, large, seed):
    small, large = sorted((small, large))
    assert bottom_k(records, small, seed) == bottom_k(records, large, seed)[:small]


@given(SEEDS, SEEDS)
@example(5, 5)
@example(0, 2**62)
def test_the_same_seed_gives_the_same_sample_and_another_seed_another(seed, other):
    records = [str(number).encode() for number in range(200)]
    assert (bottom_k(records, 20, seed) == bottom_k(records, 20, other)) == (seed == other)


def test_every_record_is_equally_likely_to_be_sampled():
    records = [bytes([number]) for number in range(10)]
    drawn = Counter(record for seed in range(2_000) for _, record in bottom_k(records, 3, seed))
    # Each is drawn 600 times on average; the standard deviation of one count is 20.5.
    assert set(drawn) == set(records)
    assert max(abs(count - 600) for count in drawn.values()) < 100


def test_ranks_are_spread_over_all_their_bits():
    mean = sum(rank(str(n).encode(), 0)[byte] for n in range(1_000) for byte in range(16)) / 16_000
    assert mean == pytest.approx(127.5, abs=3)


def test_a_sample_that_was_drawn_before_can_be_drawn_again():
    assert ALGORITHM == "bottom-k/blake2b-128/1"
    assert rank(b"record", 7).hex() == "978bfd239c556e9489a497b7583f7600"
    assert rank(b"record", 7) == hashlib.blake2b(b"record", digest_size=16, key=bytes(7) + b"\7").digest()


def test_the_digest_of_a_record_is_that_of_the_standard():
    # FIPS 180-4, the example of one block.
    assert record_digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_records_that_left_the_sample_do_not_come_back():
    sample = BottomK(1)
    for record_rank, record in [(b"\2" * 16, b"late"), (b"\1" * 16, b"early"), (b"\2" * 16, b"late")]:
        sample.add(record_rank, record)
    assert sample.ranked() == [(b"\1" * 16, b"early")]


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_has_no_rank_is_refused(seed):
    with pytest.raises(ConfigError, match="seed"):
        SamplingConfig(seed=seed)


def test_the_largest_seed_has_ranks():
    seed = SamplingConfig(seed=2**63 - 1).seed
    assert rank(b"", seed) != rank(b"", seed - 1)
