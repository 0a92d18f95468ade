import hashlib
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slimline.core.sampling.rank import (
    ALGORITHM,
    SampledRecord,
    SamplingConfig,
    Strata,
    bottom_k,
    record_digest,
    record_rank,
    select,
)
from slimline.core.sampling.sketch import Extremes, Sketch, Valued
from slimline.errors import ConfigError, ExamplesError

RECORDS = st.lists(st.binary(max_size=3), max_size=40)
SIZES = st.integers(1, 50)
SEEDS = st.integers(0, 2**63 - 1)
STRATA = Strata(feature="digit")


def drawn(records, num_records):
    return Sketch(num_records, tuple(bottom_k(records, num_records, 0)))


def ends_of(values):
    """Returns the extremes of records with values."""
    ends = Extremes()
    for record, value in values.items():
        valued = Valued(value, (record_rank(record, 0), record))
        ends = ends.including(Extremes(valued, valued))
    return ends


def in_order_of_rank(records):
    return sorted(records, key=lambda record: record_rank(record, 0))


@given(RECORDS, SIZES, SEEDS)
def test_the_sample_is_the_distinct_records_of_smallest_rank_in_that_order(records, k, seed):
    expected = sorted((record_rank(record, seed), record) for record in set(records))[:k]
    assert bottom_k(records, k, seed) == expected


@given(RECORDS, SIZES, SEEDS, st.data())
def test_neither_order_nor_duplicates_matter(records, k, seed, data):
    duplicates = data.draw(st.lists(st.sampled_from(records))) if records else []
    shuffled = data.draw(st.permutations(records + duplicates))
    assert bottom_k(shuffled, k, seed) == bottom_k(records, k, seed)


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
    mean = sum(record_rank(str(n).encode(), 0)[byte] for n in range(1_000) for byte in range(16)) / 16_000
    assert mean == pytest.approx(127.5, abs=3)


def test_a_sample_that_was_drawn_before_can_be_drawn_again():
    assert ALGORITHM == "bottom-k/blake2b-128/2"
    assert record_rank(b"record", 7).hex() == "978bfd239c556e9489a497b7583f7600"
    assert record_rank(b"record", 7) == hashlib.blake2b(b"record", digest_size=16, key=bytes(7) + b"\7").digest()


def test_the_digest_of_a_record_is_that_of_the_standard():
    # FIPS 180-4, the example of one block.
    assert record_digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_largest_seed_has_ranks():
    seed = SamplingConfig(seed=2**63 - 1).seed
    assert record_rank(b"", seed) != record_rank(b"", seed - 1)


@given(RECORDS, SIZES)
def test_without_strata_and_extremes_the_selection_is_the_bottom_k(records, k):
    selected = select(drawn(records, k), {}, {}, SamplingConfig(num_records=k))
    assert selected == [SampledRecord(*ranked) for ranked in bottom_k(records, k, 0)]


@given(
    st.dictionaries(st.binary(max_size=2), st.tuples(st.sampled_from("abc"), st.integers(-3, 3)), max_size=40),
    st.integers(8, 30),
    st.integers(1, 2),
)
def test_extremes_are_in_then_the_floor_of_each_stratum_then_the_smallest_ranks(labelled, k, floor):
    config = SamplingConfig(num_records=k, strata=Strata(feature="letter", min_records=floor), extremes=("number",))
    letters = {letter: [record for record in labelled if labelled[record][0] == letter] for letter in "abc"}
    numbers = {record: number for record, (_, number) in labelled.items()}
    selected = select(
        drawn(labelled, k),
        {letter: drawn(records, floor) for letter, records in letters.items() if records},
        {"number": ends_of(numbers)},
        config,
    )
    ordered = in_order_of_rank(labelled)
    reserved = {record for records in letters.values() for record in in_order_of_rank(records)[:floor]}
    if ordered:
        reserved |= {end(ordered, key=lambda record: sign * numbers[record]) for end, sign in [(min, 1), (min, -1)]}
    others = [record for record in ordered if record not in reserved]
    expected = in_order_of_rank([*reserved, *others[: k - len(reserved)]])
    assert [sampled.record for sampled in selected] == expected
    assert {sampled.record for sampled in selected if sampled.reasons} == reserved


def test_a_record_may_have_several_reasons():
    (sampled,) = select(
        drawn([b"only"], 5),
        {"3": drawn([b"only"], 1)},
        {"age": ends_of({b"only": 7.0}), "height": Extremes()},
        SamplingConfig(num_records=5, strata=STRATA, extremes=("age", "height")),
    )
    assert sampled == SampledRecord(record_rank(b"only", 0), b"only", ("smallest age", "largest age", "stratum 3"))


def test_reserved_places_push_out_the_records_of_largest_rank():
    ordered = in_order_of_rank([bytes([number]) for number in range(20)])
    config = SamplingConfig(num_records=4, strata=STRATA)
    selected = select(drawn(ordered, 4), {"rare": drawn(ordered[-1:], 1)}, {}, config)
    assert [sampled.record for sampled in selected] == [*ordered[:3], ordered[-1]]


def test_more_strata_than_places_are_refused():
    config = SamplingConfig(num_records=10, strata=Strata(feature="digit", min_records=3), extremes=("age",))
    strata = {str(number): drawn([bytes([number])], 3) for number in range(3)}
    with pytest.raises(ExamplesError, match="more than 2 values of feature 'digit'") as refused:
        select(drawn([b"record"], 10), strata, {}, config)
    assert "raise num_records, lower strata.min_records" in refused.value.remedy
    del strata["2"]
    assert len(select(drawn([b"record"], 10), strata, {}, config)) == 3


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_has_no_rank_is_refused(seed):
    with pytest.raises(ConfigError, match="seed"):
        SamplingConfig(seed=seed)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"split": "eval"}, "another split than evaluation_split"),
        ({"split": "test", "evaluation_split": "test"}, "another split than evaluation_split"),
        ({"extremes": ("age", "age")}, "each feature once in extremes"),
        ({"num_records": 3, "extremes": ("age", "height")}, "num_records of at least 4"),
        ({"num_records": 4, "extremes": ("age", "height"), "strata": STRATA}, "num_records of at least 5"),
        ({"num_records": 4, "strata": Strata(feature="digit", min_records=5)}, "num_records of at least 5"),
        ({"num_records": 0}, "greater than or equal to 1"),
        ({"split": ""}, "at least 1 character"),
        ({"strata": {"feature": ""}}, "at least 1 character"),
        ({"strata": {"feature": "digit", "min_records": 0}}, "greater than or equal to 1"),
        ({"strata": {"feature": "digit", "min_record": 2}}, "Did you mean"),
        ({"on_overlap": "warm"}, "Did you mean 'warn'?"),
        ({"on_overlaps": "warn"}, "Did you mean 'on_overlap'?"),
        ({"shortage": "take_all"}, "unknown option 'shortage'"),
    ],
)
def test_what_can_not_be_sampled_is_refused(options, expected):
    with pytest.raises(ConfigError) as refused:
        SamplingConfig(**options)
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"split": "eval", "evaluation_split": None},
        {"split": "eval", "evaluation_split": "test"},
        {"num_records": 4, "extremes": ("age", "height")},
        {"num_records": 5, "extremes": ("age", "height"), "strata": STRATA},
    ],
)
def test_what_just_fits_is_taken_and_comes_back_from_json(options):
    config = SamplingConfig(**options)
    assert SamplingConfig.from_json(config.to_json()) == config
