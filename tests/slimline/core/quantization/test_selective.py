from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.production import examine, gather_records, produce
from slimline.core.quantization.selective import is_met, rank_tensors, search
from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.tflite.activations import ActivationError
from slimline.core.tflite.comparison import compare_outputs
from slimline.core.tflite.flatbuffer import Operation, operations
from slimline.errors import ModelError

REFERENCE = {"y": np.full((100, 1), 10.0)}


@dataclass
class Chain:
    """Operations in a row, each of which adds noise of its own unless it is kept; the output has the sum of it."""

    noises: tuple[float, ...]
    refused: Callable[[frozenset[str]], bool] = lambda kept: False
    converted: list[frozenset[str]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [f"op{number}" for number in range(len(self.noises))]

    def noise(self, kept: frozenset[str]) -> float:
        return sum(noise for name, noise in zip(self.names, self.noises, strict=True) if name not in kept)

    def convert(self, kept: frozenset[str]) -> bytes:
        self.converted.append(kept)
        if self.refused(kept):
            raise ModelError("a kernel is missing", "one", "none")
        return ",".join(sorted(kept)).encode()

    def run(self, content: bytes) -> Mapping[str, np.ndarray]:
        kept = frozenset(filter(None, content.decode().split(",")))
        return {"y": REFERENCE["y"] + np.sqrt(self.noise(kept)) * 10}

    def errors(self, content: bytes) -> list[ActivationError]:
        found, total = [], 0.0
        for number, (name, noise) in enumerate(zip(self.names, self.noises, strict=True)):
            total += noise
            operation = Operation("CONV_2D", name, number, "float32", (f"op{number - 1}",) if number else (), "", 0)
            found.append(ActivationError(operation, np.ones(1), np.array([total]), np.ones(1)))
        return found

    def search(self, config: SelectiveConfig):
        return search(config, REFERENCE, self.convert, self.run, self.errors)


def goal(min_sqnr_db=30.0, max_conversions=64):
    return SelectiveConfig(min_sqnr_db=min_sqnr_db, max_conversions=max_conversions)


# Little enough that the sum of all stays under the whole signal.
NOISES = st.lists(st.sampled_from([1e-6, 1e-4, 1e-3, 1e-2, 0.05]), min_size=1, max_size=12).map(tuple)


@given(noises=NOISES, min_sqnr_db=st.sampled_from([10.0, 25.0, 40.0, 70.0]))
def test_the_goal_is_met_when_keeping_everything_meets_it(noises, min_sqnr_db):
    chain = Chain(noises)
    selection = chain.search(goal(min_sqnr_db))
    assert selection.best.meets_goal
    assert selection.best.outputs["y"].sqnr_db >= min_sqnr_db


@given(noises=NOISES, max_conversions=st.integers(2, 8), min_sqnr_db=st.sampled_from([10.0, 25.0, 40.0, 70.0]))
def test_the_search_is_honest_whatever_it_finds(noises, max_conversions, min_sqnr_db):
    chain = Chain(noises)
    selection = chain.search(goal(min_sqnr_db, max_conversions))
    attempts = selection.attempts
    assert len(chain.converted) == len(attempts) <= max_conversions
    assert len(set(chain.converted)) == len(chain.converted)
    assert attempts[0].kept == frozenset()
    for attempt in attempts:
        assert attempt.meets_goal == (attempt.outputs["y"].sqnr_db >= min_sqnr_db)
        assert attempt.content == chain.convert(attempt.kept)
    good = [attempt for attempt in attempts if attempt.meets_goal]
    if good:
        assert len(selection.best.kept) == min(len(attempt.kept) for attempt in good)
        assert selection.best.meets_goal
    else:
        assert selection.best.outputs["y"].sqnr_db == max(attempt.outputs["y"].sqnr_db for attempt in attempts)


@given(noises=NOISES)
def test_nothing_is_kept_that_could_be_given_back(noises):
    chain = Chain(noises)
    best = chain.search(goal()).best
    for name in best.kept if len(best.kept) > 1 else ():
        assert chain.noise(best.kept - {name}) > 10**-3


@given(noises=NOISES, broken=st.sets(st.integers(0, 11)), max_conversions=st.integers(2, 12))
def test_files_that_can_not_be_made_are_passed_over(noises, broken, max_conversions):
    names = frozenset(f"op{number}" for number in broken)
    chain = Chain(noises, refused=lambda kept: bool(kept & names))
    selection = chain.search(goal(40.0, max_conversions))
    assert selection.best.content is not None
    assert not selection.best.kept & names
    for attempt in selection.attempts:
        assert (attempt.content is None) == bool(attempt.failure) == bool(attempt.kept & names)


def test_a_model_that_meets_the_goal_at_once_keeps_nothing():
    chain = Chain((1e-6, 1e-6))
    selection = chain.search(goal())
    assert (selection.best.kept, len(selection.attempts)) == (frozenset(), 1)


def test_the_one_bad_operation_of_many_is_found_in_few_conversions():
    chain = Chain((*[1e-6] * 20, 0.5, *[1e-6] * 20))
    selection = chain.search(goal())
    assert selection.best.kept == {"op20"}
    assert len(selection.attempts) <= 5


def test_plain_int8_that_can_not_be_made_is_the_end():
    chain = Chain((0.1,), refused=lambda kept: True)
    with pytest.raises(ModelError, match="a kernel is missing"):
        chain.search(goal())


def test_agreement_without_a_decision_is_refused():
    with pytest.raises(ModelError, match="outputs decide nothing"):
        Chain((0.1,)).search(SelectiveConfig(min_agreement=0.9))


def test_tensors_are_ranked_by_what_they_add():
    ranked = rank_tensors(Chain((0.1, 0.0, 0.3, 0.2)).errors(b""))
    assert [error.operation.output for error in ranked] == ["op2", "op3", "op0"]


@pytest.mark.parametrize(
    ("agreement", "sqnr_db", "met"), [(0.75, None, True), (0.8, None, False), (0.75, 90.0, False), (None, 5.0, True)]
)
def test_both_goals_have_to_be_met(agreement, sqnr_db, met):
    outputs = compare_outputs({"y": np.eye(4) + 1}, {"y": np.eye(4)[[0, 1, 2, 0]] + 1})
    assert is_met(SelectiveConfig(min_agreement=agreement, min_sqnr_db=sqnr_db), outputs) == met


@pytest.mark.parametrize(
    ("backend", "keep"), [("converter", "float32"), ("litert-quantizer", "float32"), ("litert-quantizer", "int16")]
)
def test_a_model_that_int8_breaks_is_regained(wide, digits, backend, keep):
    images, _ = digits
    config = QuantizationConfig(
        scheme="int8", backend=backend, selective=SelectiveConfig(min_agreement=0.97, keep=keep, max_conversions=8)
    )
    told: list[str] = []

    def records():
        return ({"image": image[np.newaxis]} for image in images[:100])

    product = produce(wide, config, records, told.append)
    assert product.selection is not None
    first, best = product.selection.attempts[0], product.selection.best
    assert (first.outputs["scores"].agreement or 0) < 0.8
    assert best.meets_goal
    assert {name.split("/")[1] for name in best.kept} == {"conv", "depthwise"}
    assert told == [f"int8 with {len(a.kept)} operation(s) in {keep}" for a in product.selection.attempts]
    kept = {op.op: op.output_dtype for op in operations(product.content) if op.output in best.kept}
    assert kept == {"CONV_2D": keep, "DEPTHWISE_CONV_2D": keep}
    assert [op.output_dtype for op in operations(product.content) if "FULLY" in op.op] == ["int8"]
    held_out = gather_records(wide, lambda: ({"image": image[np.newaxis]} for image in images[400:500]))
    assert held_out is not None
    examination = examine(wide, product, held_out)
    assert (examination.outputs["scores"].agreement or 0) >= 0.95
    assert len(product.content) < 0.6 * len(product.float_content)
