"""Runs the original and all candidates over files of examples, and counts.

The original runs here; each candidate runs in a process of its own, side by side, so that one which crashes, hangs or
gives NaN is that candidate's verdict and nobody else's.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.evaluation.accumulators import NUM_GROUPS, ModelTally, Tallies
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.metrics import find_metric
from slimline.core.evaluation.model_server import Ends, load, predict
from slimline.core.evaluation.slices import OVERALL, slice_names
from slimline.core.examples.batches import as_numpy, labelled_batches
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.example_features import example_parser
from slimline.core.examples.records import FileSet
from slimline.core.isolation import IsolatedError, IsolatedProcess
from slimline.core.models.loading import TrainedModel
from slimline.errors import ConfigError, ExamplesError, ModelError, near_miss


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


@dataclass(frozen=True)
class Batch:
    """Some examples.

    Attributes:
      records: Serialized; none when a user's `input_fn` reads them.
      inputs: By name, each of shape (batch, …).
      labels: Of shape (batch, …).
    """

    records: Sequence[bytes]
    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray


class Evaluator:
    """The original and its candidates, ready to run. Close it after use, or use it as a context.

    Args:
      baseline: The Trainer's model of any kind that `load_model` returns.
      candidates: With different names.
      config: Metrics, slices and limits of time and memory.
      schema: Of the examples.
      data: Label and features.

    Raises:
      ModelError: The baseline has several outputs and none is chosen.
      ExamplesError: A slice needs a feature that the schema does not have.
      ConfigError: A metric can't be found, or slices are asked of data that a user's `input_fn` reads.
    """

    def __init__(
        self,
        baseline: TrainedModel,
        candidates: Sequence[Candidate],
        config: GateConfig,
        schema: schema_pb2.Schema,
        data: ExamplesConfig,
    ) -> None:
        self._baseline = baseline
        self._config = config
        self._schema = schema
        self._data = data
        self._output = choose_output(baseline, config.output)
        self._run_baseline = _as_graph(baseline, self._output)
        self._metrics = {name: find_metric(name, config.custom_metrics) for name in config.metric_names}
        require_sliceable(config, schema, data)
        self._candidates = [RunningCandidate(one, baseline, self._output, config) for one in candidates]

    def evaluate_files(self, files: Sequence[str]) -> Tallies:
        """Runs all models over the examples of some files, and returns what was counted.

        Raises:
          ModelError: The baseline predicts NaN or infinity.
          ExamplesError: The examples do not fit the model or a metric.
        """
        tallies = Tallies()
        batches = (batch for file in files for batch in self._batches(file))
        # The candidates have the next batch already while this one is counted.
        current = self._begin(next(batches, None))
        while current is not None:
            predictions = self._finish(current)
            following = self._begin(next(batches, None))
            self._add(tallies, current, predictions)
            current = following
        for candidate in self._candidates:
            tallies.models.setdefault(candidate.name, ModelTally()).failure = candidate.failure
        return tallies

    def first_example(self, files: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns the inputs of one example, each of shape (1, …).

        Raises:
          ExamplesError: There is none.
        """
        for file in files:
            for batch in self._batches(file):
                return {name: values[:1] for name, values in batch.inputs.items()}
        raise ExamplesError("no examples to evaluate on", "at least one", "check the split that the gate reads")

    def close(self) -> None:
        """Ends the candidates' processes."""
        for candidate in self._candidates:
            candidate.close()

    def __enter__(self) -> "Evaluator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _batches(self, file: str) -> Iterator[Batch]:
        records = FileSet((file,))
        dataset = labelled_batches(
            records,
            self._schema,
            self._baseline,
            self._data,
            batch_size=self._config.batch_size,
            with_records=self._data.input_fn is None,
        )
        for batch in as_numpy(dataset, records):
            serialized, (inputs, labels) = batch if self._data.input_fn is None else ((), batch)
            yield Batch(serialized, inputs, self._choose_label(labels))

    def _choose_label(self, labels: Any) -> np.ndarray:
        chosen: np.ndarray = labels[self._output] if isinstance(labels, Mapping) else labels
        return chosen

    def _begin(self, batch: Batch | None) -> Batch | None:
        if batch is not None:
            for candidate in self._candidates:
                candidate.begin(batch.inputs)
        return batch

    def _finish(self, batch: Batch) -> dict[str, np.ndarray]:
        """Returns what each model predicts; a candidate that fails is missing."""
        baseline = self._predict_baseline(batch.inputs)
        given = {candidate.name: candidate.finish(baseline.shape) for candidate in self._candidates}
        return {"": baseline, **{name: values for name, values in given.items() if values is not None}}

    def _add(self, tallies: Tallies, batch: Batch, predictions: Mapping[str, np.ndarray]) -> None:
        size = len(batch.labels)
        slices = [[OVERALL]] * size
        if self._config.slices:
            parse = example_parser()
            slices = [slice_names(parse(record), self._config.slices) for record in batch.records]
        # By content where there is one: the groups are then the same however the examples are split into files.
        groups = [zlib.crc32(record) for record in batch.records] or list(range(size))
        tallies.add(batch.labels, predictions, self._metrics, slices, np.array(groups, np.int64) % NUM_GROUPS)

    def _predict_baseline(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        predictions = np.asarray(self._run_baseline([tf.constant(inputs[name]) for name in self._baseline.input_names]))
        if not np.isfinite(predictions).all():
            raise ModelError("a baseline that predicts NaN or infinity", "finite predictions", "train it again")
        return predictions


def _as_graph(baseline: TrainedModel, output: str) -> Any:
    """Returns a model as a function from inputs to one output, which is traced once and then several times faster."""
    place = list(baseline.output_names).index(output)

    @tf.function(reduce_retracing=True)
    def run(listed: list[tf.Tensor]) -> tf.Tensor:
        outputs = tf.nest.flatten(baseline(listed[0] if len(listed) == 1 else listed, training=False))
        return tf.cast(outputs[place], tf.float32)

    return run


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
    """

    def __init__(self, candidate: Candidate, baseline: TrainedModel | None, output: str, config: GateConfig) -> None:
        self.name = candidate.name
        self.failure = ""
        self._output = output
        self._time_limit_s = config.time_limit_s
        self._process: IsolatedProcess | None = None
        self._is_running = False
        if isinstance(candidate.content, ModelError):
            self.failure = candidate.content.found
            return
        self._process = IsolatedProcess(config.memory_limit_bytes)
        try:
            ends = self._process.call(load, candidate.content, candidate.name, time_limit_s=config.time_limit_s)
            self.failure = misfit(ends, baseline) if baseline is not None else ""
        except (ModelError, IsolatedError, RuntimeError) as error:
            self.failure = _reason(error)

    def begin(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Gives it a batch to predict."""
        if not self.failure and self._process is not None:
            self._process.send(predict, dict(inputs), self._output)
            self._is_running = True

    def finish(self, shape: tuple[int, ...]) -> np.ndarray | None:
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


def choose_output(baseline: TrainedModel, chosen: str | None) -> str:
    """Returns the name of the output that is judged.

    Raises:
      ModelError: There are several and none is chosen, or there is none of that name.
    """
    names = list(baseline.output_names)
    if chosen is None and len(names) > 1:
        raise ModelError(f"a baseline with the outputs {', '.join(names)}", "one to judge", "give output=... its name")
    if chosen is not None and chosen not in names:
        raise ModelError(
            f"output={chosen!r}", f"one of {', '.join(names)}", f"correct its name.{near_miss(chosen, names)}"
        )
    return chosen or str(names[0])


def require_sliceable(config: GateConfig, schema: schema_pb2.Schema, data: ExamplesConfig) -> None:
    """Checks that the features which slices need are there.

    Raises:
      ExamplesError: The schema does not have one.
      ConfigError: A user's `input_fn` reads the examples, and their records are not seen.
    """
    if config.slices and data.input_fn is not None:
        raise ConfigError(
            "slices of examples that input_fn reads", "records to slice by", "use preprocessing_fn, or leave slices out"
        )
    known = [feature.name for feature in schema.feature]
    for cut in config.slices:
        for name in cut.features:
            if name not in known:
                raise ExamplesError(
                    f"slices by {name!r}, which the schema does not have",
                    f"one of {', '.join(known)}",
                    f"correct its name.{near_miss(name, known)}",
                )


def misfit(ends: Ends, baseline: TrainedModel) -> str:
    """Returns why a candidate can't be compared with the baseline; empty when it can."""
    inputs = {name: tuple(t.shape[1:]) for name, t in zip(baseline.input_names, baseline.inputs, strict=True)}
    outputs = {name: tuple(t.shape[1:]) for name, t in zip(baseline.output_names, baseline.outputs, strict=True)}
    if ends.inputs != inputs:
        return f"its inputs are {ends.inputs}, but the baseline's are {inputs}"
    if ends.outputs != outputs:
        return f"its outputs are {ends.outputs}, but the baseline's are {outputs}"
    return ""


def _reason(error: ModelError | IsolatedError | RuntimeError) -> str:
    if isinstance(error, RuntimeError):
        # A traceback of the child, as of a file that LiteRT takes and that is none.
        return f"it failed: {str(error).strip().splitlines()[-1]}"
    return error.found if isinstance(error, ModelError) else f"it {error.text}"
