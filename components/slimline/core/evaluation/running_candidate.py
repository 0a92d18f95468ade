"""Candidates, each in a process of its own: one that crashes or hangs is its own verdict and nobody else's."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slimline.core.digest import content_digest
from slimline.core.evaluation.gates import GateConfig
from slimline.core.isolation import IsolatedError, IsolatedProcess
from slimline.core.models.loading import TrainedModel
from slimline.core.tflite.model_server import Ends, load, predict
from slimline.errors import ModelError


@dataclass(frozen=True)
class Candidate:
    """A model that wants to be shipped.

    Attributes:
      name: Unique among the candidates, and not empty.
      scheme: How it was quantized; empty when unknown.
      content: Bytes of the `.tflite` file, or the error that kept it from being read.
    """

    name: str
    scheme: str
    content: bytes | ModelError


def start_candidates(
    candidates: Sequence[Candidate], baseline: TrainedModel, output: str, config: GateConfig
) -> list["RunningCandidate"]:
    """Starts the candidates' processes side by side, as many at a time as there are cores."""
    started: list[RunningCandidate] = []
    at_once = os.cpu_count() or 1
    for first in range(0, len(candidates), at_once):
        group = [RunningCandidate(one, baseline, output, config) for one in candidates[first : first + at_once]]
        for one in group:
            one.begin_loading()
        for one in group:
            one.finish_loading()
        started += group
    return started


class RunningCandidate:
    """One candidate in its process. After a failure it keeps the reason and takes no more batches.

    Args:
      candidate: The candidate.
      baseline: The original, whose inputs and outputs it must have; None to leave that unchecked.
      output: Which output is judged.
      config: Limits of time and memory.

    Attributes:
      name: Of the candidate.
      failure: Why it can't be evaluated any more; empty while it can.
      content_digest: `sha256:<hex>` of the bytes that are measured; empty when there are none.
    """

    def __init__(self, candidate: Candidate, baseline: TrainedModel | None, output: str, config: GateConfig) -> None:
        self.name = candidate.name
        self.failure = "" if isinstance(candidate.content, bytes) else candidate.content.found
        self.content_digest = ""
        self._content = candidate.content
        self._baseline = baseline
        self._output = output
        self._config = config
        self._time_limit_s = config.time_limit_s
        self._names: EndNames | None = None
        self._process: IsolatedProcess | None = None
        self._is_running = False

    def begin_loading(self) -> None:
        """Starts its process, which loads the file."""
        if isinstance(self._content, bytes):
            self.content_digest = content_digest(self._content)
            self._process = IsolatedProcess(self._config.memory_limit_bytes)
            self._process.send(load, self._content, self.name)

    def finish_loading(self) -> None:
        """Waits until it is loaded, and compares its inputs and outputs with the baseline's."""
        if self._process is None:
            return
        try:
            ends = self._process.receive(self._time_limit_s)
            if self._baseline is not None:
                self._names = match_ends(ends, self._baseline)
                self.failure = "" if self._names else misfit(ends, self._baseline)
        except (ModelError, IsolatedError, RuntimeError) as error:
            self.failure = _reason(error)

    def begin(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Gives it a batch to predict."""
        if not self.failure and self._process is not None:
            names = self._names
            given = {names.inputs[name]: values for name, values in inputs.items()} if names else dict(inputs)
            self._process.send(predict, given, names.outputs[self._output] if names else self._output)
            self._is_running = True

    def finish(self, shape: tuple[int | None, ...]) -> np.ndarray | None:
        """Returns its predictions, which must be of a shape; None after a failure."""
        if not self._is_running or self._process is None:
            return None
        self._is_running = False
        try:
            predictions: np.ndarray = self._process.receive(self._time_limit_s)
        except (ModelError, IsolatedError, RuntimeError) as error:
            self.failure = _reason(error)
            return None
        if not np.isfinite(predictions).all():
            self.failure = "it predicts NaN or infinity"
        elif predictions.shape != shape:
            self.failure = f"its predictions have the shape {predictions.shape}, the baseline's {shape}"
        return None if self.failure else predictions

    def close(self) -> None:
        """Ends its process."""
        if self._process is not None:
            self._process.close()


@dataclass(frozen=True)
class EndNames:
    """What a candidate calls the baseline's inputs and outputs.

    Attributes:
      inputs: By the baseline's name.
      outputs: By the baseline's name.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def match_ends(ends: Ends, baseline: TrainedModel) -> EndNames | None:
    """Finds the baseline's inputs and outputs in a candidate by name.

    Where one of the two files has no names of its own, as files of other makers, they are found by their shapes. None
    where they do not fit, or where shapes leave a choice.
    """
    by_shape = not (ends.has_own_names and getattr(baseline, "has_own_names", True))
    inputs = _match(_shapes(baseline.input_names, baseline.inputs), ends.inputs, by_shape=by_shape)
    outputs = _match(_shapes(baseline.output_names, baseline.outputs), ends.outputs, by_shape=by_shape)
    return EndNames(inputs, outputs) if inputs is not None and outputs is not None else None


def _shapes(names: Sequence[str], tensors: Sequence[Any]) -> dict[str, tuple[int | None, ...]]:
    return {name: tuple(tensor.shape[1:]) for name, tensor in zip(names, tensors, strict=True)}


def fits(given: Mapping[str, tuple[int | None, ...]], wanted: Mapping[str, tuple[int | None, ...]]) -> bool:
    """Returns whether tensors have the same names and shapes; a size that is open in one of them fits any."""
    return given.keys() == wanted.keys() and all(
        len(shape) == len(wanted[name])
        and all(None in (size, other) or size == other for size, other in zip(shape, wanted[name], strict=True))
        for name, shape in given.items()
    )


def _match(
    wanted: Mapping[str, tuple[int | None, ...]], given: Mapping[str, tuple[int | None, ...]], *, by_shape: bool
) -> dict[str, str] | None:
    if fits(given, wanted):
        return {name: name for name in wanted}
    names = {shape: name for name, shape in given.items()}
    is_clear = by_shape and len(names) == len(given) == len(wanted) == len(set(wanted.values()))
    if not is_clear or set(names) != set(wanted.values()):
        return None
    return {name: names[shape] for name, shape in wanted.items()}


def misfit(ends: Ends, baseline: TrainedModel) -> str:
    """Returns why a candidate can't be compared with the baseline; empty when it can."""
    inputs = _shapes(baseline.input_names, baseline.inputs)
    outputs = _shapes(baseline.output_names, baseline.outputs)
    if not fits(ends.inputs, inputs):
        return f"its inputs are {ends.inputs}, but the baseline's are {inputs}"
    if not fits(ends.outputs, outputs):
        return f"its outputs are {ends.outputs}, but the baseline's are {outputs}"
    return ""


def _reason(error: ModelError | IsolatedError | RuntimeError) -> str:
    if isinstance(error, RuntimeError):
        # A traceback of the child, as of a file that LiteRT takes and that is none.
        return f"it failed: {str(error).strip().splitlines()[-1]}"
    return error.found if isinstance(error, ModelError) else f"it {error.text}"
