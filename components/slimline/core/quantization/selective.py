"""Keeps the few layers that int8 hurts most in a higher precision.

A wide range is what breaks most models: when one channel of a tensor is a thousand times larger than the others, one
scale for all leaves these others no bits. Such a tensor has to be kept by the operation that writes it and by those
that read it. So tensors are ranked by the noise that enters at them, channel by channel, and kept from the worst on
until the goal is met; then whatever turns out not to be needed is given back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.tflite.activations import ActivationError, added_noise
from slimline.core.tflite.comparison import OutputComparison, compare_outputs, worst_agreement, worst_sqnr_db
from slimline.errors import ModelError


@dataclass(frozen=True)
class Attempt:
    """A file that was made on the way.

    Attributes:
      kept: Operations kept, by the name of their output in the float file.
      content: The file; None when it could not be made or run.
      outputs: How its outputs compare with the float model's.
      meets_goal: Whether that is good enough.
      failure: Why it could not be made or run.
    """

    kept: frozenset[str]
    content: bytes | None
    outputs: Mapping[str, OutputComparison] = field(default_factory=dict)
    meets_goal: bool = False
    failure: str = ""


@dataclass(frozen=True)
class Selection:
    """The outcome of the search.

    Attributes:
      best: The attempt to take: of those that meet the goal the one that keeps fewest operations, else the closest.
      attempts: All of them, in order; the first keeps nothing.
    """

    best: Attempt
    attempts: tuple[Attempt, ...]


def search(
    config: SelectiveConfig,
    reference: Mapping[str, np.ndarray],
    convert: Callable[[frozenset[str]], bytes],
    run: Callable[[bytes], Mapping[str, np.ndarray]],
    measure_errors: Callable[[bytes], Sequence[ActivationError]],
) -> Selection:
    """Finds the fewest operations that have to be kept.

    Args:
      config: The goal, and the number of conversions allowed.
      reference: The float model's outputs on the records, by name.
      convert: Makes a file that keeps some operations.
      run: Gives a file's outputs on the records.
      measure_errors: Gives the errors of a file's operations on the records.

    Raises:
      ModelError: Plain int8 can't be made or run: then there is nothing to improve.
    """
    content = convert(frozenset())
    first = _judge(config, reference, frozenset(), content, run(content))
    attempts = _Attempts(config, reference, convert, run, first)
    if not first.meets_goal:
        errors = measure_errors(content)
        steps = _growing_sets(errors)
        shortest = _shortest(attempts, steps)
        if shortest is not None:
            _give_back(attempts, steps[shortest], errors)
    return Selection(attempts.best(), tuple(attempts.made))


def is_met(config: SelectiveConfig, outputs: Mapping[str, OutputComparison]) -> bool:
    """Returns whether outputs are close enough to the float model's.

    Raises:
      ModelError: The agreement is asked for, and no output decides between classes.
    """
    agreement, sqnr_db = worst_agreement(outputs), worst_sqnr_db(outputs)
    if config.min_agreement is not None:
        if agreement is None:
            raise ModelError(
                "min_agreement for a model whose outputs decide nothing", "classes", "give min_sqnr_db instead"
            )
        if agreement < config.min_agreement:
            return False
    return config.min_sqnr_db is None or sqnr_db >= config.min_sqnr_db


def rank_tensors(errors: Sequence[ActivationError]) -> list[ActivationError]:
    """Returns the activations that add noise, the one that adds most first."""
    added = added_noise(errors)
    adding = [error for error in errors if added[error.operation.output] > 0]
    return sorted(adding, key=lambda error: -added[error.operation.output])


def _growing_sets(errors: Sequence[ActivationError]) -> list[frozenset[str]]:
    """Returns sets of operations to keep, each with one more tensor's writer and readers than the one before."""
    readers: dict[str, set[str]] = {}
    for error in errors:
        for name in error.operation.inputs:
            readers.setdefault(name, set()).add(error.operation.output)
    sets: list[frozenset[str]] = []
    kept: frozenset[str] = frozenset()
    ranked = rank_tensors(errors)
    # What adds nothing measurable may have drowned in noise that came in: such tensors are tried last.
    names = {error.operation.output for error in ranked}
    drowned = [error for error in errors if error.operation.output not in names and error.noise_share > 0]
    for error in [*ranked, *sorted(drowned, key=lambda error: -error.noise_share)]:
        grown = kept | {error.operation.output} | readers.get(error.operation.output, set())
        if grown != kept:
            sets.append(grown)
            kept = grown
    return sets


class _Attempts:
    """The files made so far; none is made twice, and none beyond the number allowed."""

    def __init__(
        self,
        config: SelectiveConfig,
        reference: Mapping[str, np.ndarray],
        convert: Callable[[frozenset[str]], bytes],
        run: Callable[[bytes], Mapping[str, np.ndarray]],
        first: Attempt,
    ) -> None:
        self._config = config
        self._reference = reference
        self._convert = convert
        self._run = run
        self.made = [first]

    @property
    def is_exhausted(self) -> bool:
        return len(self.made) >= self._config.max_conversions

    def meets_goal(self, kept: frozenset[str]) -> bool:
        known = next((attempt for attempt in self.made if attempt.kept == kept), None)
        return (known or self._make(kept)).meets_goal

    def _make(self, kept: frozenset[str]) -> Attempt:
        try:
            content = self._convert(kept)
            attempt = _judge(self._config, self._reference, kept, content, self._run(content))
        except ModelError as error:
            attempt = Attempt(kept, None, failure=error.found)
        self.made.append(attempt)
        return attempt

    def best(self) -> Attempt:
        runnable = [attempt for attempt in self.made if attempt.content is not None]
        good = [attempt for attempt in runnable if attempt.meets_goal]
        if good:
            return min(good, key=lambda attempt: (len(attempt.kept), len(attempt.content or b"")))
        return max(
            runnable, key=lambda attempt: (worst_agreement(attempt.outputs) or 0, worst_sqnr_db(attempt.outputs))
        )


def _judge(
    config: SelectiveConfig,
    reference: Mapping[str, np.ndarray],
    kept: frozenset[str],
    content: bytes,
    outputs: Mapping[str, np.ndarray],
) -> Attempt:
    compared = compare_outputs(reference, outputs)
    return Attempt(kept, content, compared, is_met(config, compared))


def _shortest(attempts: _Attempts, steps: Sequence[frozenset[str]]) -> int | None:
    """Returns the index of the smallest set that meets the goal: by doubling, then by halving what lies between."""
    failed, size = 0, 1
    while not attempts.is_exhausted and failed < len(steps):
        if attempts.meets_goal(steps[size - 1]):
            break
        failed, size = size, min(2 * size, len(steps))
    else:
        return None
    while size - failed > 1 and not attempts.is_exhausted:
        middle = (failed + size) // 2
        if attempts.meets_goal(steps[middle - 1]):
            size = middle
        else:
            failed = middle
    return size - 1


def _give_back(attempts: _Attempts, kept: frozenset[str], errors: Iterable[ActivationError]) -> None:
    """Tries to do without each kept operation, beginning with the one of least noise."""
    ordered = sorted((error for error in errors if error.operation.output in kept), key=lambda error: error.noise_share)
    for error in ordered:
        if attempts.is_exhausted or len(kept) == 1:
            return
        fewer = kept - {error.operation.output}
        if attempts.meets_goal(fewer):
            kept = fewer
