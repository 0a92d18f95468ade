import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimline.core.evaluation.accumulators import Accumulator, ModelAccumulator
from slimline.core.evaluation.counting import Seen
from slimline.core.evaluation.metrics import METRICS, CustomMetric, find_metric
from slimline.core.evaluation.statistics.evidence import MetricCounts
from slimline.errors import ExamplesError

# The pairs of classes and buckets of AUC take long to count: it has a test of its own.
QUICK = {name: metric for name, metric in METRICS.items() if name != "auc"}
SIZE = 40


class Data:
    """Examples of three classes, predictions of a baseline and two candidates, slices and keys."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        self.labels = np.eye(3)[random.integers(0, 3, SIZE)]
        self.predictions = {name: random.random((SIZE, 3), np.float32) for name in ("", "a", "b")}
        self.slices = [["overall", f"digit={random.integers(3)}", f"city={random.integers(2)}"] for _ in range(SIZE)]
        self.keys = random.integers(0, 1 << 60, SIZE).astype(np.uint64)

    def count(self, rows, metrics, into=None):
        accumulator = Accumulator() if into is None else into
        given_predictions = {name: values[rows] for name, values in self.predictions.items()}
        accumulator.add(
            self.labels[rows], given_predictions, metrics, [self.slices[row] for row in rows], self.keys[rows]
        )
        return accumulator


def plain(accumulator):
    """Everything in an accumulator as values that can be compared."""
    keys = {name: sorted(np.concatenate(parts).tolist()) for name, parts in sorted(accumulator.keys.items())}
    models = dict(sorted(accumulator.models.items()))
    return dict(sorted(accumulator.num_examples.items())), keys, models, [str(error) for error in accumulator.errors]


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
    return Accumulator().merge(left[0])


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), parts=batches(), data=st.data())
def test_counts_are_exactly_the_same_however_the_examples_are_split_and_merged(seed, parts, data):
    examples = Data(seed)
    whole = plain(examples.count(np.arange(SIZE), QUICK))
    assert plain(merge([examples.count(rows, QUICK) for rows in parts], data.draw)) == whole
    one_by_one = Accumulator()
    for rows in parts:
        examples.count(rows, QUICK, one_by_one)
    assert plain(one_by_one) == whole


@settings(max_examples=3)
@given(seed=st.integers(0, 1000), parts=batches(), data=st.data())
def test_the_buckets_of_auc_are_the_same_however_the_examples_are_split(seed, parts, data):
    examples, auc = Data(seed), {"auc": METRICS["auc"]}
    whole = examples.count(np.arange(SIZE), auc)
    assert plain(merge([examples.count(rows, auc) for rows in parts], data.draw)) == plain(whole)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), parts=batches())
def test_values_are_those_of_all_examples_at_once(seed, parts):
    examples = Data(seed)
    accumulator = Accumulator()
    for rows in parts:
        examples.count(rows, QUICK, accumulator)
    for slice_name in ("overall", "digit=1"):
        inside = np.array([slice_name in names for names in examples.slices])
        if not inside.any():
            continue
        assert accumulator.num_examples[slice_name] == inside.sum()
        for model in ("a", "b"):
            seen = Seen(examples.labels[inside], examples.predictions[model][inside], examples.predictions[""][inside])
            for name, metric in QUICK.items():
                expected, counted = MetricCounts.empty(), metric.count(seen)
                if counted.codes is not None:
                    expected.joint.add(counted.codes)
                if counted.numbers is not None:
                    expected.moments.add(*counted.numbers)
                assert accumulator.models[model].metrics[slice_name, name] == expected


def test_a_file_that_changes_between_two_workers_is_that_candidates_failure():
    merged = Accumulator(models={"a": ModelAccumulator(content_digest="sha256:1"), "b": ModelAccumulator()})
    merged.merge(Accumulator(models={"a": ModelAccumulator(content_digest="sha256:2"), "b": ModelAccumulator()}))
    assert merged.models["a"].failure == "its file changed while it was measured"
    assert not merged.models["b"].failure


def test_a_metric_of_ones_own_that_raises_is_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "raising_metric.py").write_text(
        "def broken(labels, predictions):\n    raise KeyError('no such thing')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = (CustomMetric(name="own", function="raising_metric.broken"),)
    metrics = {"own": find_metric("own", own), "accuracy": QUICK["accuracy"]}
    accumulator = Data(0).count(np.arange(SIZE), metrics)
    assert accumulator.metric_errors == {"own": "KeyError: 'no such thing'"}
    assert ("overall", "accuracy") in accumulator.models["b"].metrics


def test_changes_count_decisions_that_are_not_the_baselines():
    predictions = {"": np.eye(3)[[0, 0, 1, 2]], "a": np.eye(3)[[1, 1, 1, 0]]}
    accumulator = Accumulator()
    accumulator.add(
        np.zeros(4), predictions, {"accuracy": QUICK["accuracy"]}, [["overall"]] * 4, np.arange(4, dtype=np.uint64)
    )
    assert accumulator.models["a"].changes == {(0, 1): 2, (2, 0): 1}
    assert not accumulator.models[""].changes
    assert accumulator.models[""].decisions == {0: 2, 1: 1, 2: 1}


def test_a_model_that_failed_is_left_out_and_the_others_are_counted():
    examples = Data(0)
    del examples.predictions["a"]
    accumulator = examples.count(np.arange(SIZE), QUICK)
    assert set(accumulator.models) == {"", "b"}


@pytest.mark.parametrize(("failures", "expected"), [(("", ""), ""), (("", "b"), "b"), (("b", "a"), "a")])
def test_a_failure_anywhere_is_kept(failures, expected):
    for order in (failures, failures[::-1]):
        merged = Accumulator()
        for failure in order:
            merged.merge(Accumulator(models={"a": ModelAccumulator(failure=failure)}))
        assert merged.models["a"].failure == expected


def test_errors_come_in_one_order():
    errors = [ExamplesError(text, "", "") for text in "ba"]
    for order in (errors, errors[::-1]):
        merged = Accumulator().merge(Accumulator(errors=(order[0],))).merge(Accumulator(errors=(order[1],)))
        assert [error.found for error in merged.errors] == ["a", "b"]


def test_merging_leaves_the_other_counts_as_they_were():
    examples = Data(0)
    first, second = (examples.count(np.arange(start, start + 20), QUICK) for start in (0, 20))
    before = plain(second)
    merged = Accumulator().merge(first).merge(second)
    merged.merge(first)
    assert plain(second) == before


def test_a_thousand_slices_are_counted_and_more_are_refused():
    def add(accumulator, names):
        predictions = {"": np.eye(2)[np.zeros(len(names), int)]}
        keys = np.arange(len(names), dtype=np.uint64)
        accumulator.add(
            np.zeros(len(names)), predictions, {"accuracy": QUICK["accuracy"]}, [[name] for name in names], keys
        )
        return accumulator

    accumulator = add(Accumulator(), [f"digit={number}" for number in range(1000)])
    with pytest.raises(ExamplesError, match="more than 1000 slices"):
        add(accumulator, ["digit=1000"])
    with pytest.raises(ExamplesError, match="more than 1000 slices"):
        add(Accumulator(), [f"digit={number}" for number in range(1000)]).merge(add(Accumulator(), ["digit=x"]))


def test_changes_of_very_many_classes_are_not_listed():
    random = np.random.default_rng(0)
    predictions = {name: random.random((4, 101)) for name in ("", "a")}
    accumulator = Accumulator()
    accumulator.add(
        np.zeros(4), predictions, {"accuracy": QUICK["accuracy"]}, [["overall"]] * 4, np.arange(4, dtype=np.uint64)
    )
    assert not accumulator.models["a"].changes


def test_an_example_in_a_slice_by_two_cuts_counts_once():
    accumulator = Accumulator()
    predictions = {"": np.eye(2), "a": np.eye(2)}
    accumulator.add(
        np.array([0, 1]),
        predictions,
        {"accuracy": QUICK["accuracy"]},
        [["overall", "x", "x"]] * 2,
        np.arange(2, dtype=np.uint64),
    )
    assert accumulator.num_examples["x"] == 2
