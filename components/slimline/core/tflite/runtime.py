"""Runs `.tflite` models with LiteRT, feeding and reading real numbers whatever the file's own types are."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from slimline.core.internals.litert import tensor_details
from slimline.core.tflite.flatbuffer import has_select_ops, keeps_state
from slimline.core.tflite.signature import with_signature
from slimline.errors import ModelError

_WARM_UP_RUNS = 10
_TIMED_RUNS = 50
# Some reference kernels are slower by two orders of magnitude: stop in time, with fewer runs.
_TIMED_SECONDS = 2.0


@dataclass(frozen=True)
class Latency:
    """Time of one inference on this host, one thread, batch of 1, warm.

    Attributes:
      p50_ms: Median in milliseconds.
      p90_ms: 90th percentile in milliseconds.
      num_runs: Inferences timed.
    """

    p50_ms: float
    p90_ms: float
    num_runs: int


class TFLiteModel:
    """A loaded `.tflite` file.

    Args:
      content: The file's bytes.
      name: The file's name, for messages.
      observed: Keeps what every operation gives, for `activation`, at the price of the faster kernels.

    Attributes:
      has_own_names: Whether the file names its inputs and outputs in a signature; they are named after tensors else.

    Raises:
      ModelError: LiteRT can't load it, or it has several signatures.
    """

    def __init__(self, content: bytes, name: str, *, observed: bool = False) -> None:
        self._name = name
        self._batch = 1
        self._sizes: dict[int, tuple[int, ...]] = {}
        try:
            # LiteRT checks the bytes; what follows relies on that.
            Interpreter(model_content=content, num_threads=1)
            named = with_signature(content)
            self.has_own_names, content = named == content, named
            self._interpreter = _interpreter(content, observed=observed)
            self._interpreter.allocate_tensors()
            self._keeps_state = keeps_state(content)
            signatures = list(self._interpreter.get_signature_list())
            self._inputs, self._outputs = self._ends(signatures[0])
            self._fix_batch()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{name} is not a file that LiteRT can load: {error}", "a .tflite file", "convert the model again"
            ) from error
        if len(signatures) != 1:
            raise ModelError(
                f"{name} has {len(signatures)} signatures", "one signature", "convert it with Slimline's Quantizer"
            )

    def _ends(self, signature: str) -> tuple[dict[str, Any], dict[str, Any]]:
        # The runner is not kept: while it lives, the interpreter refuses to run by itself, which is twice as fast.
        runner = self._interpreter.get_signature_runner(signature)
        return runner.get_input_details(), runner.get_output_details()

    def _fix_batch(self) -> None:
        """Sets the batch to 1 where the file has another."""
        others = [detail for detail in self._inputs.values() if len(detail["shape"]) and detail["shape"][0] != 1]
        for detail in others:
            self._interpreter.resize_tensor_input(detail["index"], [1, *detail["shape"][1:]])
        try:
            if others:
                self._interpreter.allocate_tensors()
        except RuntimeError:
            # Its operations are made for a batch of that size: it gets each example so many times.
            for detail in others:
                self._interpreter.resize_tensor_input(detail["index"], detail["shape"])
            self._interpreter.allocate_tensors()
            self._batch = int(others[0]["shape"][0])

    def _fit_sizes(self, stored: Mapping[int, np.ndarray]) -> None:
        """Gives inputs of open sizes those of an example."""
        is_changed = False
        for detail in self._inputs.values():
            shape = stored[detail["index"]].shape
            if -1 in detail["shape_signature"][1:] and self._sizes.get(detail["index"]) != shape:
                self._interpreter.resize_tensor_input(detail["index"], shape)
                self._sizes[detail["index"]] = shape
                is_changed = True
        if is_changed:
            self._interpreter.allocate_tensors()

    @property
    def input_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Shape of each input by name, without the batch dimension; None for a size that is open."""
        return {name: _shape(detail) for name, detail in self._inputs.items()}

    @property
    def inputs(self) -> Mapping[str, Mapping[str, Any]]:
        """LiteRT's details of each input by name: shape, dtype, scale and zero point."""
        return self._inputs

    @property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        """LiteRT's details of each output by name."""
        return self._outputs

    @property
    def output_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Shape of each output by name, without the batch dimension; None for a size that is open."""
        is_open = any(None in shape for shape in self.input_shapes.values())
        shape = _shape if is_open else _present_shape
        return {name: shape(detail) for name, detail in self._outputs.items()}

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the model on a batch, one example after the other, as a device does.

        Args:
          inputs: Real values by input name, each of shape (batch, …).

        Returns:
          Real values by output name, each float32 of shape (batch, …).

        Raises:
          ModelError: An operation failed.
        """
        stored = {detail["index"]: to_stored(inputs[name], detail) for name, detail in self._inputs.items()}
        size = len(next(iter(stored.values())))
        rows: dict[str, list[np.ndarray]] = {name: [] for name in self._outputs}
        for index in range(size):
            self._run({tensor: values[index : index + 1] for tensor, values in stored.items()})
            for name, detail in self._outputs.items():
                rows[name].append(self._output(name, detail["index"]))
        return {name: from_stored(np.concatenate(rows[name]), detail) for name, detail in self._outputs.items()}

    @property
    def input_order(self) -> list[str]:
        """Names of the inputs in the order of the graph's own inputs."""
        return self._ordered(self._inputs, self._interpreter.get_input_details())

    @property
    def output_order(self) -> list[str]:
        """Names of the outputs in the order of the graph's own outputs."""
        return self._ordered(self._outputs, self._interpreter.get_output_details())

    @staticmethod
    def _ordered(named: Mapping[str, Mapping[str, Any]], details: list[dict[str, Any]]) -> list[str]:
        by_index = {detail["index"]: name for name, detail in named.items()}
        return [by_index[detail["index"]] for detail in details]

    def predict_stored(self, example: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the model on one example and returns outputs in the file's own types, each of shape (1, …).

        Args:
          example: Real values by input name, each of shape (1, …).
        """
        self._run({detail["index"]: to_stored(example[name], detail) for name, detail in self._inputs.items()})
        return {name: self._output(name, detail["index"]) for name, detail in self._outputs.items()}

    def activation(self, tensor: int) -> np.ndarray:
        """Returns real values of a tensor of the main graph, as the last example left them.

        Args:
          tensor: Its index; the model has to be an observed one.
        """
        detail = tensor_details(self._interpreter, tensor)
        return from_stored(self._interpreter.get_tensor(tensor), detail)

    def measure_latency(self, example: Mapping[str, np.ndarray]) -> Latency:
        """Times inferences of one example.

        Args:
          example: Real values by input name, each of shape (1, …).
        """
        self.predict_stored(example)
        # The inputs are in place: what is timed is what LiteRT's own benchmark times, without copies.
        started = time.perf_counter()
        for _ in range(_WARM_UP_RUNS):
            if time.perf_counter() - started < _TIMED_SECONDS:
                self._interpreter.invoke()
        durations_ms: list[float] = []
        started = time.perf_counter()
        while len(durations_ms) < _TIMED_RUNS and time.perf_counter() - started < _TIMED_SECONDS:
            if self._keeps_state:
                self._interpreter.reset_all_variables()
            before = time.perf_counter()
            self._interpreter.invoke()
            durations_ms.append((time.perf_counter() - before) * 1e3)
        p50, p90 = np.percentile(durations_ms, [50, 90])
        return Latency(float(p50), float(p90), len(durations_ms))

    def _run(self, stored: Mapping[int, np.ndarray]) -> None:
        try:
            # Examples are independent: what a recurrent layer remembers of one is none of the next one's business.
            if self._keeps_state:
                self._interpreter.reset_all_variables()
            self._fit_sizes(stored)
            for tensor, values in stored.items():
                self._interpreter.set_tensor(tensor, np.repeat(values, self._batch, axis=0))
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{self._name} failed while it ran: {error}",
                "a model whose operations LiteRT runs",
                "choose another scheme, or replace the layer that needs the operation",
            ) from error

    def _output(self, name: str, tensor: int) -> np.ndarray:
        values: np.ndarray = self._interpreter.get_tensor(tensor)
        if len(values) == self._batch:
            values = values[:1]
        if len(values) != 1:
            raise ModelError(
                f"output {name!r} of {self._name} has the shape {values.shape} for one example",
                "one row",
                "convert the model again; an operation may be left that its scheme does not have",
            )
        return values


def _interpreter(content: bytes, *, observed: bool) -> Any:
    if has_select_ops(content):
        raise ModelError(
            "a file with operations of TensorFlow itself, for which LiteRT's package has no kernels",
            "TFLite's own operations",
            "run it where TensorFlow's kernels are linked in, or replace the layer that needs the operation",
        )
    if observed:
        # A delegate keeps what is inside of it to itself.
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=kernels,
        )
    return Interpreter(model_content=content, num_threads=1)


def _shape(detail: Mapping[str, Any]) -> tuple[int | None, ...]:
    signature = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
    return tuple(None if size < 0 else int(size) for size in signature[1:])


def _present_shape(detail: Mapping[str, Any]) -> tuple[int | None, ...]:
    return tuple(int(size) for size in detail["shape"][1:])


def to_stored(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Turns real values into a tensor's own type: q = clip(round(r / scale) + zero_point).

    The formula is that of https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.
    """
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    if not scale:
        return np.asarray(values).astype(dtype)
    limits = np.iinfo(dtype)
    quantized = np.round(np.asarray(values, np.float32) / np.float32(scale)) + zero_point
    return np.clip(quantized, limits.min, limits.max).astype(dtype)


def from_stored(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Turns a tensor's own values into real ones: r = (q - zero_point) * scale."""
    scale, zero_point = detail["quantization"]
    real = values.astype(np.float32)
    return (real - np.float32(zero_point)) * np.float32(scale) if scale else real
