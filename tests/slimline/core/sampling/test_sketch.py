import math
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.sampling.rank import bottom_k, record_rank
from slimline.core.sampling.sketch import ALL, BottomK, Extremes, Sketch, Valued, merge_sketches, sketch

RECORDS = st.lists(st.binary(max_size=2), max_size=40)
SIZES = st.integers(1, 20)
SHARES = st.floats(0.01, 1)
MARGINS = st.sampled_from([1e-6, 0.01, 0.1, 0.3, 1.0, 64.0, math.inf])
VALUED = st.lists(
    st.builds(
        Valued,
        st.sampled_from([-math.inf, -1.5, -0.0, 0.0, 2.0, math.inf]),
        st.tuples(st.binary(min_size=16, max_size=16), st.binary(max_size=1)),
    ),
    unique_by=lambda valued: valued.ranked[0],
    max_size=8,
)


def sketch_of(records, size, seed=0):
    collected = BottomK(size)
    for record in records:
        collected.add(record_rank(record, seed), record)
    return sketch(collected, size)


def numbered(count, size, seed=0):
    return sketch_of((str(number).encode() for number in range(count)), size, seed)


def ranked(number):
    """A rank that is `number` sixteenths of all ranks."""
    return (number * ALL // 16).to_bytes(16, "big"), str(number).encode()


@given(RECORDS, SIZES)
def test_a_sketch_holds_the_distinct_records_of_smallest_rank_in_that_order(records, size):
    expected = sorted((record_rank(record, 0), record) for record in set(records))[:size]
    assert sketch_of(records, size) == Sketch(size, tuple(expected))


def test_records_that_left_the_sketch_do_not_come_back():
    collected = BottomK(1)
    for number, record in [(b"\2" * 16, b"late"), (b"\1" * 16, b"early"), (b"\2" * 16, b"late")]:
        collected.add(number, record)
    assert collected.ranked() == [(b"\1" * 16, b"early")]


@pytest.mark.parametrize("byte", [0, 255])
def test_the_first_and_the_last_rank_are_kept_as_they_are(byte):
    collected = BottomK(2)
    collected.add(bytes([byte]) * 16, b"record")
    assert collected.ranked() == [(bytes([byte]) * 16, b"record")]


@pytest.mark.parametrize("count", [0, 1, 49])
def test_less_distinct_records_than_the_size_are_counted(count):
    assert numbered(count, 50).estimate_distinct() == count


def test_the_number_of_distinct_records_is_estimated_within_a_few_standard_errors_for_every_seed():
    size, count, error = 258, 2_000, 1 / 16
    errors = [numbered(count, size, seed).estimate_distinct() / count - 1 for seed in range(100)]
    assert max(map(abs, errors)) < 4 * error
    assert abs(mean(errors)) < 3 * error / math.sqrt(100)
    # Out of 2,000 records without replacement: a little less than 1 / sqrt(k - 2).
    assert 0.8 * error < stdev(errors) < 1.1 * error


@given(RECORDS, SIZES)
def test_an_estimate_is_never_under_what_the_sketch_holds(records, size):
    assert sketch_of(records, size).estimate_distinct() >= min(len(set(records)), size)


@given(RECORDS, SIZES, SHARES)
def test_without_a_limit_nothing_is_left_out(records, size, share):
    whole = sketch_of(records, size)
    assert whole.thinned(share, math.inf) is whole
    assert whole.is_exact


@given(RECORDS, SIZES, SHARES, MARGINS)
def test_thinning_leaves_the_beginning_and_says_where_it_ends(records, size, share, margin):
    whole = sketch_of(records, size)
    thinned = whole.thinned(share, margin)
    assert thinned.records == whole.records[: len(thinned.records)]
    assert all(int.from_bytes(record_rank, "big") < thinned.complete_below for record_rank, _ in thinned.records)
    left_out = whole.records[len(thinned.records) :]
    assert all(int.from_bytes(record_rank, "big") >= thinned.complete_below for record_rank, _ in left_out)
    assert thinned.is_exact == (not left_out)


def test_a_small_part_of_the_whole_sends_its_share_of_the_sample():
    thinned = numbered(1_000, 100).thinned(share=0.01, margin=1.0)
    # 160 of 100,000 are wanted: 1.6 of these 1,000.
    assert len(thinned.records) < 10
    assert thinned.complete_below == pytest.approx(160 / 100_000 * ALL, rel=0.5)


@pytest.mark.parametrize(
    ("given", "is_exact"),
    [
        (Sketch(2), True),
        (Sketch(2, (ranked(1),)), True),
        (Sketch(2, (ranked(1), ranked(2))), True),
        (Sketch(2, (ranked(1), ranked(2)), 3 * ALL // 16), True),
        (Sketch(2, (ranked(1),), 3 * ALL // 16), False),
        (Sketch(2, (), 3 * ALL // 16), False),
        (Sketch(2, (ranked(1), ranked(3)), 3 * ALL // 16), False),
    ],
)
def test_a_sketch_is_exact_when_nothing_was_left_out_or_it_is_full_below_what_was(given, is_exact):
    assert given.is_exact == is_exact


def test_what_one_part_left_out_counts_for_the_whole():
    thinned = Sketch(3, (ranked(1),), 3 * ALL // 16)
    complete = Sketch(3, (ranked(2), ranked(4), ranked(5)))
    assert merge_sketches([thinned, complete], 3) == Sketch(3, (ranked(1), ranked(2)), 3 * ALL // 16)


def test_no_parts_are_the_sketch_of_nothing():
    assert merge_sketches([], 3) == Sketch(3)


@given(st.lists(st.tuples(RECORDS, SHARES, MARGINS), max_size=6), SIZES, st.data())
def test_parts_merge_alike_in_any_order_and_grouping(shards, size, data):
    parts = [sketch_of(records, size).thinned(share, margin) for records, share, margin in shards]
    whole = merge_sketches(parts, size)
    shuffled = data.draw(st.permutations(parts))
    cut = data.draw(st.integers(0, len(parts)))
    halves = [merge_sketches(shuffled[:cut], size), merge_sketches(shuffled[cut:], size)]
    assert merge_sketches(halves, size) == whole
    assert merge_sketches([*shuffled, *parts], size) == whole


@given(st.lists(RECORDS, max_size=6), SIZES, st.data())
def test_a_merge_of_parts_thinned_anyhow_is_exact_or_says_that_it_is_not(shards, size, data):
    def thinned(part):
        return part.thinned(data.draw(SHARES), data.draw(MARGINS))

    parts = [thinned(sketch_of(records, size)) for records in shards]
    while len(parts) > 1:
        number = data.draw(st.integers(2, len(parts)))
        parts = [*parts[number:], thinned(merge_sketches(parts[:number], size))]
    merged = merge_sketches(parts, size)
    expected = bottom_k((record for records in shards for record in records), size, 0)
    assert list(merged.records) == expected[: len(merged.records)]
    assert list(merged.records) == expected or not merged.is_exact


@given(VALUED, st.data())
def test_extremes_are_those_of_all_parts_in_any_order_and_of_equal_values_the_smaller_rank(valued, data):
    shuffled = [Extremes(), *data.draw(st.permutations([Extremes(each, each) for each in valued])), Extremes()]
    while len(shuffled) > 1:
        place = data.draw(st.integers(0, len(shuffled) - 2))
        shuffled[place : place + 2] = [shuffled[place].including(shuffled[place + 1])]
    (ends,) = shuffled
    if not valued:
        assert ends == Extremes()
        return
    smallest, largest = min(each.value for each in valued), max(each.value for each in valued)
    assert ends.smallest is not None
    assert ends.largest is not None
    assert ends.smallest.ranked == min(each.ranked for each in valued if each.value == smallest)
    assert ends.largest.ranked == min(each.ranked for each in valued if each.value == largest)
