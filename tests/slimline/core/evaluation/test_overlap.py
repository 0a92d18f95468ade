import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.evaluation.overlap import NUM_LOOKED_FOR, Overlap, find_overlap

RECORDS = st.lists(st.binary(max_size=2), max_size=60)


@given(RECORDS, RECORDS)
def test_of_few_records_every_one_that_is_in_both_is_found(evaluation, training):
    found = find_overlap(evaluation, training, "elsewhere")
    assert (found.num_found, found.num_looked_for) == (len({*evaluation} & {*training}), len({*evaluation}))


@pytest.mark.parametrize("share", [0, 1, 4])
def test_of_many_records_the_share_is_that_of_all(share):
    evaluation = [f"evaluation {number}".encode() for number in range(4_000)]
    found = find_overlap(evaluation, evaluation[: share * 1_000], "elsewhere")
    assert found.num_looked_for == NUM_LOOKED_FOR
    assert abs(found.num_found / NUM_LOOKED_FOR - share / 4) < 0.1


@pytest.mark.parametrize(
    ("overlap", "words"),
    [
        (Overlap(0, 10, "split 'train'"), ()),
        (Overlap(3, 10, "split 'train'"), ("3 of 10 examples looked for are in split 'train' as well",)),
        (
            Overlap(0, 0, "split 'train'", "no split"),
            ("It was not checked whether examples were trained on: no split.",),
        ),
    ],
)
def test_what_is_found_becomes_a_warning(overlap, words):
    assert len(overlap.warnings) == len(words)
    for told, word in zip(overlap.warnings, words, strict=True):
        assert told.startswith(word)
