import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimline.core.evaluation.accumulators import NUM_GROUPS, ModelTally, Tallies
from slimline.core.evaluation.judging import value_of
from slimline.core.evaluation.metrics import METRICS, Outcome, find_metric
from slimline.errors import ExamplesError

# The thousands of columns of AUC take long to count: it has a test of its own.
QUICK = {name: metric for name, metric in METRICS.items() if name != "auc"}
COUNTED = {name: metric for name, metric in QUICK.items() if metric.counts} | {
    "top_2_accuracy": find_metric("top_2_accuracy")
}
SIZE = 40


class Data:
    """Examples of three classes, predictions of a baseline and two candidates, slices and groups."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        self.labels = np.eye(3)[random.integers(0, 3, SIZE)]
        self.predictions = {name: random.random((SIZE, 3), np.float32) for name in ("", "a", "b")}
        self.slices = [["overall", f"digit={random.integers(3)}", f"city={random.integers(2)}"] for _ in range(SIZE)]
        self.groups = random.integers(0, NUM_GROUPS, SIZE)

    def tally(self, rows, metrics, into=None):
        tallies = Tallies() if into is None else into
        given_predictions = {name: values[rows] for name, values in self.predictions.items()}
        tallies.add(
            self.labels[rows], given_predictions, metrics, [self.slices[row] for row in rows], self.groups[rows]
        )
        return tallies


def plain(tallies):
    """Everything in tallies as values that can be compared."""
    models = {
        name: (
            {key: sums.tolist() for key, sums in sorted(tally.sums.items())},
            dict(sorted(tally.squares.items())),
            dict(sorted(tally.pairs.items())),
            dict(sorted(tally.changes.items())),
            tally.failure,
        )
        for name, tally in sorted(tallies.models.items())
    }
    numbers = {name: counts.tolist() for name, counts in sorted(tallies.num_examples.items())}
    return numbers, models, [str(error) for error in tallies.errors]


@st.composite
def batches(draw):
    """All rows once, cut into batches in any way."""
    order = draw(st.permutations(range(SIZE)))
    cuts = sorted(draw(st.sets(st.integers(1, SIZE - 1), max_size=6)))
    return [np.array(order[start:end]) for start, end in zip([0, *cuts], [*cuts, SIZE], strict=True)]


def merge(parts, draw):
    """Merges copies of all parts in an order and a grouping that are drawn."""
    left = [pickle.loads(pickle.dumps(part)) for part in parts]
    while len(left) > 1:
        second = left.pop(draw(st.integers(0, len(left) - 1)))
        first = left.pop(draw(st.integers(0, len(left) - 1)))
        left.append(first.merge(second))
    return Tallies().merge(left[0])


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), parts=batches(), data=st.data())
def test_counts_are_the_same_however_the_examples_are_split_and_merged(seed, parts, data):
    examples = Data(seed)
    whole = examples.tally(np.arange(SIZE), COUNTED)
    assert plain(merge([examples.tally(rows, COUNTED) for rows in parts], data.draw)) == plain(whole)
    one_by_one = Tallies()
    for rows in parts:
        examples.tally(rows, COUNTED, one_by_one)
    assert plain(one_by_one) == plain(whole)


@settings(max_examples=3)
@given(seed=st.integers(0, 1000), parts=batches(), data=st.data())
def test_the_buckets_of_auc_are_the_same_however_the_examples_are_split(seed, parts, data):
    examples, auc = Data(seed), {"auc": METRICS["auc"]}
    whole = examples.tally(np.arange(SIZE), auc)
    assert plain(merge([examples.tally(rows, auc) for rows in parts], data.draw)) == plain(whole)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), parts=batches(), data=st.data())
def test_sums_of_other_numbers_are_exactly_the_same_in_any_order_of_merging(seed, parts, data):
    examples = Data(seed)
    tallied = [examples.tally(rows, QUICK) for rows in parts]
    assert plain(merge(tallied, data.draw)) == plain(merge(tallied, data.draw))
    sums = merge(tallied, data.draw).models["a"].sums["overall", "log_loss"]
    assert all(isinstance(each, Fraction) for each in sums.ravel())


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), parts=batches())
def test_values_are_those_of_all_examples_at_once(seed, parts):
    examples = Data(seed)
    tallies = Tallies()
    for rows in parts:
        examples.tally(rows, QUICK, tallies)
    for slice_name in ("overall", "digit=1"):
        inside = np.array([slice_name in names for names in examples.slices])
        if not inside.any():
            continue
        assert tallies.num_examples[slice_name].sum() == inside.sum()
        for model in ("a", "b"):
            given_predictions, baseline = examples.predictions[model][inside], examples.predictions[""][inside]
            for name, metric in QUICK.items():
                rows = metric.rows(Outcome(examples.labels[inside], given_predictions, baseline))
                try:
                    expected = metric.value(rows.sum(axis=0), int(inside.sum()))
                except ExamplesError:
                    continue
                sums = tallies.models[model].sums[slice_name, name]
                assert value_of(metric, sums, tallies.num_examples[slice_name]) == pytest.approx(expected)


def test_pairs_say_on_how_many_examples_a_candidate_is_worse_or_better_and_by_how_much():
    labels = np.array([0, 0, 0, 1, 1])
    predictions = {"": np.eye(2)[[0, 0, 0, 0, 1]], "a": np.eye(2)[[1, 1, 0, 1, 1]]}
    tallies = Tallies()
    metrics = {name: QUICK[name] for name in ("accuracy", "log_loss")}
    tallies.add(labels, predictions, metrics, [["overall"]] * 5, np.arange(5))
    accuracy = tallies.models["a"].pairs["overall", "accuracy"]
    assert (accuracy.num_worse, accuracy.num_better) == (2, 1)
    assert [accuracy.total, accuracy.squares] == [1, 3]
    loss = tallies.models["a"].pairs["overall", "log_loss"]
    assert (loss.num_worse, loss.num_better) == (2, 1)
    assert loss.total > 0
    assert not tallies.models[""].pairs


def test_the_baseline_is_not_compared_with_itself():
    tallies = Data(0).tally(np.arange(SIZE), QUICK)
    assert ("overall", "agreement") not in tallies.models[""].sums
    assert ("overall", "agreement") in tallies.models["a"].sums


def test_changes_count_decisions_that_are_not_the_baselines():
    predictions = {"": np.eye(3)[[0, 0, 1, 2]], "a": np.eye(3)[[1, 1, 1, 0]]}
    tallies = Tallies()
    tallies.add(np.zeros(4), predictions, {"accuracy": QUICK["accuracy"]}, [["overall"]] * 4, np.zeros(4, np.int64))
    assert tallies.models["a"].changes == {(0, 1): 2, (2, 0): 1}
    assert not tallies.models[""].changes


def test_a_model_that_failed_is_left_out_and_the_others_are_counted():
    examples = Data(0)
    del examples.predictions["a"]
    tallies = examples.tally(np.arange(SIZE), COUNTED)
    assert set(tallies.models) == {"", "b"}


@pytest.mark.parametrize(("failures", "expected"), [(("", ""), ""), (("", "b"), "b"), (("b", "a"), "a")])
def test_a_failure_anywhere_is_kept(failures, expected):
    for order in (failures, failures[::-1]):
        merged = Tallies()
        for failure in order:
            merged.merge(Tallies(models={"a": ModelTally(failure=failure)}))
        assert merged.models["a"].failure == expected


def test_errors_come_in_one_order():
    errors = [ExamplesError(text, "", "") for text in "ba"]
    for order in (errors, errors[::-1]):
        merged = Tallies().merge(Tallies(errors=(order[0],))).merge(Tallies(errors=(order[1],)))
        assert [error.found for error in merged.errors] == ["a", "b"]


def test_merging_leaves_the_other_tallies_as_they_were():
    examples = Data(0)
    first, second = (examples.tally(np.arange(start, start + 20), QUICK) for start in (0, 20))
    before = plain(second)
    merged = Tallies().merge(first).merge(second)
    merged.merge(first)
    assert plain(second) == before


def test_a_thousand_slices_are_counted_and_more_are_refused():
    def add(tallies, names):
        predictions = {"": np.eye(2)[np.zeros(len(names), int)]}
        groups = np.zeros(len(names), np.int64)
        tallies.add(
            np.zeros(len(names)), predictions, {"accuracy": QUICK["accuracy"]}, [[name] for name in names], groups
        )
        return tallies

    tallies = add(Tallies(), [f"digit={number}" for number in range(1000)])
    with pytest.raises(ExamplesError, match="more than 1000 slices"):
        add(tallies, ["digit=1000"])
    with pytest.raises(ExamplesError, match="more than 1000 slices"):
        add(Tallies(), [f"digit={number}" for number in range(1000)]).merge(add(Tallies(), ["digit=x"]))


def test_changes_of_very_many_classes_are_not_listed():
    random = np.random.default_rng(0)
    predictions = {name: random.random((4, 101)) for name in ("", "a")}
    tallies = Tallies()
    tallies.add(np.zeros(4), predictions, {"accuracy": QUICK["accuracy"]}, [["overall"]] * 4, np.zeros(4, np.int64))
    assert not tallies.models["a"].changes


def test_an_example_in_a_slice_by_two_cuts_counts_once():
    tallies = Tallies()
    predictions = {"": np.eye(2), "a": np.eye(2)}
    tallies.add(
        np.array([0, 1]), predictions, {"accuracy": QUICK["accuracy"]}, [["overall", "x", "x"]] * 2, np.zeros(2, int)
    )
    assert tallies.num_examples["x"].sum() == 2
