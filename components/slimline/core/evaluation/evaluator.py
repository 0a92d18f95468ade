"""Runs the original and all candidates over files of examples, and counts.

The original runs here; each candidate runs in a process of its own, side by side, so that one which crashes, hangs or
gives NaN is that candidate's verdict and nobody else's.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.evaluation.accumulators import Accumulator, ModelAccumulator
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.metrics import find_metric
from slimline.core.evaluation.running_candidate import Candidate, start_candidates
from slimline.core.evaluation.slices import OVERALL, slice_names
from slimline.core.evaluation.tasks import find_task
from slimline.core.examples.batches import as_numpy, labelled_batches
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.example_features import example_parser, values_of
from slimline.core.examples.records import FileSet
from slimline.core.models.loading import TrainedModel
from slimline.errors import ConfigError, ExamplesError, ModelError, near_miss

# Targets that run a file here look at so many.
_NUM_EXAMPLES = 32


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
      ExamplesError: A slice, or `independent_by`, needs a feature that the schema does not have.
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
        self._task = find_task(baseline, self._output, config.task)
        self._metrics = {
            name: find_metric(name, config.custom_metrics, config.value_ranges, self._task)
            for name in config.metric_names
        }
        require_sliceable(config, schema, data)
        self._candidates = start_candidates(candidates, baseline, self._output, config)

    def evaluate_files(self, files: Sequence[str]) -> Accumulator:
        """Runs all models over the examples of some files, and returns what was counted.

        Raises:
          ModelError: The baseline predicts NaN or infinity.
          ExamplesError: The examples do not fit the model or a metric.
        """
        accumulator = Accumulator()
        batches = (batch for file in files for batch in self._batches(file))
        # The candidates have the next batch already while this one is counted.
        current = self._begin(next(batches, None))
        while current is not None:
            predictions = self._finish(current)
            following = self._begin(next(batches, None))
            self._add(accumulator, current, predictions)
            current = following
        for candidate in self._candidates:
            model = accumulator.models.setdefault(candidate.name, ModelAccumulator())
            model.failure, model.content_digest = candidate.failure, candidate.content_digest
        return accumulator

    def first_examples(self, files: Sequence[str], number: int = _NUM_EXAMPLES) -> dict[str, np.ndarray]:
        """Returns the inputs of the first examples, each of shape (examples, …).

        Args:
          files: Of examples.
          number: How many at most; no more than a batch.

        Raises:
          ExamplesError: There is none.
        """
        for file in files:
            for batch in self._batches(file):
                return {name: values[:number] for name, values in batch.inputs.items()}
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

    def _add(self, accumulator: Accumulator, batch: Batch, predictions: Mapping[str, np.ndarray]) -> None:
        size = len(batch.labels)
        slices, parsed = [[OVERALL]] * size, []
        if self._config.slices or self._config.independent_by is not None:
            parse = example_parser()
            parsed = [parse(record) for record in batch.records]
        if self._config.slices:
            slices = [slice_names(example, self._config.slices) for example in parsed]
        keys = np.array([hash_key(content) for content in self._independent(batch, parsed)], np.uint64)
        accumulator.add(batch.labels, predictions, self._metrics, slices, keys, self._task)

    def _independent(self, batch: Batch, parsed: Sequence[Any]) -> Iterator[bytes]:
        """Gives for each example what tells it from others that say something of their own."""
        feature = self._config.independent_by
        if feature is not None:
            yield from (repr(values_of(example, feature)).encode() for example in parsed)
        elif len(batch.records):
            yield from batch.records
        else:
            # A user's own reader shows no records: what the models see has to tell them apart.
            columns = [*batch.inputs.values(), batch.labels]
            yield from (
                b"".join(np.asarray(column[row]).tobytes() for column in columns) for row in range(len(batch.labels))
            )

    def _predict_baseline(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        # Some layers swallow NaN, and then a candidate would be blamed for it.
        require_finite_inputs(inputs)
        predictions = np.asarray(self._run_baseline([tf.constant(inputs[name]) for name in self._baseline.input_names]))
        if not np.isfinite(predictions).all():
            raise ModelError("a baseline that predicts NaN or infinity", "finite predictions", "train it again")
        return predictions


def require_finite_inputs(inputs: Mapping[str, np.ndarray]) -> None:
    """Refuses NaN and infinity in what models are given.

    Args:
      inputs: By name, each of shape (batch, …).

    Raises:
      ExamplesError: There is one; the message names the feature and shows the record's first values.
    """
    for name, values in inputs.items():
        if not np.issubdtype(values.dtype, np.floating):
            continue
        broken = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            shown = ", ".join(f"{value:g}" for value in values[row].ravel()[:5])
            raise ExamplesError(
                f"NaN or infinity in {name!r} of a record that begins {shown}",
                "finite numbers in every feature",
                "clean the records, or fill what is missing in the Transform or in preprocessing_fn",
            )


def hash_key(content: bytes) -> int:
    """Returns 64 bits that tell independent examples apart."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


def _as_graph(baseline: TrainedModel, output: str) -> Any:
    """Returns a model as a function from inputs to one output, which is traced once and then several times faster."""
    place = list(baseline.output_names).index(output)

    @tf.function(reduce_retracing=True)
    def run(listed: list[tf.Tensor]) -> tf.Tensor:
        outputs = tf.nest.flatten(baseline(listed[0] if len(listed) == 1 else listed, training=False))
        return tf.cast(outputs[place], tf.float32)

    return run


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
    asked = [*(("slices by", name) for cut in config.slices for name in cut.features)]
    if config.independent_by is not None:
        asked.append(("independent_by=", config.independent_by))
    if asked and data.input_fn is not None:
        raise ConfigError(
            "slices or independent_by for examples that input_fn reads",
            "records to look into",
            "use preprocessing_fn, or leave them out",
        )
    known = [feature.name for feature in schema.feature]
    for what, name in asked:
        if name not in known:
            raise ExamplesError(
                f"{what} {name!r}, which the schema does not have",
                f"one of {', '.join(known)}",
                f"correct its name.{near_miss(name, known)}",
            )
