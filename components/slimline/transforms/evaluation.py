"""Evaluates models over many files with Beam: each worker runs all models on whole files, and the counts add up."""

import atexit
import pickle
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from typing_extensions import override

from slimline.core.evaluation.accumulators import Accumulator
from slimline.core.evaluation.evaluator import Evaluator
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.running_candidate import Candidate
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.features import load_schema
from slimline.core.models.loading import load_model
from slimline.core.models.saving import read_tflite
from slimline.errors import ExamplesError, ModelError


@dataclass(frozen=True)
class EvaluationJob:
    """What a worker has to know: paths and options, never models, since pickled pipelines go to every worker.

    Attributes:
      baseline: Folder of the Trainer's model.
      candidates: Name, scheme and folder of each candidate.
      schema: Path of the schema.
      config: Canonical JSON of `GateConfig`.
      data: Canonical JSON of `ExamplesConfig`.
    """

    baseline: str
    candidates: tuple[tuple[str, str, str], ...]
    schema: str
    config: str
    data: str


# One worker process evaluates file after file: it keeps the models, and the candidates' processes.
_open: dict[EvaluationJob, Evaluator] = {}
_one_at_a_time = threading.RLock()
_copies: dict[str, tempfile.TemporaryDirectory[str]] = {}


class EvaluateFiles(beam.PTransform):
    """From file names to one `Accumulator` over all of them.

    Args:
      job: What to evaluate.
    """

    def __init__(self, job: EvaluationJob) -> None:
        super().__init__()
        self._job = job

    @override
    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return (
            files
            | "Reshuffle" >> beam.Reshuffle()
            | "EvaluateFile" >> beam.Map(evaluate_file, self._job)
            | "Merge" >> beam.CombineGlobally(MergeCounts())
        )


def evaluate_file(file: str, job: EvaluationJob) -> Accumulator:
    """Runs all models over one file.

    Raises:
      ModelError: The baseline can't be loaded or evaluated.
    """
    try:
        # Some runners work on several files at once in the threads of one process.
        with _one_at_a_time:
            return open_evaluator(job).evaluate_files([file])
    except ExamplesError as error:
        # It travels as data, since runners turn a worker's exception into text.
        return Accumulator(errors=(error,))


class MergeCounts(beam.CombineFn):
    """Adds up what was counted, in any order and grouping."""

    @override
    def create_accumulator(self) -> Accumulator:
        return Accumulator()

    @override
    def add_input(self, accumulator: Accumulator, counted: Accumulator) -> Accumulator:
        return accumulator.merge(counted)

    @override
    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        merged = Accumulator()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    @override
    def extract_output(self, accumulator: Accumulator) -> Accumulator:
        return accumulator


def open_evaluator(job: EvaluationJob) -> Evaluator:
    """Returns this process's evaluator for a job; it is made once.

    Raises:
      ModelError: The baseline can't be loaded.
    """
    with _one_at_a_time:
        if job not in _open:
            close_evaluators()
            config = GateConfig.from_json(job.config)
            baseline = load_model(local_copy(job.baseline), config.custom_objects)
            candidates = [read_candidate(*candidate) for candidate in job.candidates]
            _open[job] = Evaluator(
                baseline, candidates, config, load_schema(job.schema), ExamplesConfig.from_json(job.data)
            )
        return _open[job]


@atexit.register
def close_evaluators() -> None:
    """Ends the candidates' processes of this process's evaluators, once nobody counts with them any more."""
    with _one_at_a_time:
        for evaluator in _open.values():
            evaluator.close()
        _open.clear()


def read_candidate(name: str, scheme: str, uri: str) -> Candidate:
    """Reads a candidate's file; one that can't be read is that candidate's verdict, and the others are still judged."""
    content: bytes | ModelError
    try:
        content = read_tflite(local_copy(uri))
    except ModelError as error:
        content = error
    return Candidate(name, scheme, content)


def local_copy(uri: str) -> Path:
    """Returns a folder on this machine; a remote one is copied into a temporary folder, once for the process."""
    if "://" not in uri:
        return Path(uri)
    with _one_at_a_time:
        if uri not in _copies:
            folder = tempfile.TemporaryDirectory()
            try:
                _copy(uri.rstrip("/"), folder.name)
            except BaseException:
                # Half a folder may be a model of its own, and would be what the next call gets.
                folder.cleanup()
                raise
            _copies[uri] = folder
        return Path(_copies[uri].name)


def _copy(source: str, target: str) -> None:
    for folder, _, files in tf.io.gfile.walk(source, onerror=_refuse):
        inner = f"{target}{folder.removeprefix(source)}"
        tf.io.gfile.makedirs(inner)
        for name in files:
            tf.io.gfile.copy(f"{folder.rstrip('/')}/{name}", f"{inner}/{name}", overwrite=True)


def _refuse(error: tf.errors.OpError) -> None:
    raise error


def write_counts(accumulator: Accumulator, path: str) -> None:
    """Writes what was counted where the pipeline's caller finds it."""
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        stream.write(pickle.dumps(accumulator))


def read_counts(path: str) -> Accumulator:
    """Reads what `write_counts` wrote."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        accumulator: Accumulator = pickle.loads(stream.read())  # noqa: S301 - written by our own pipeline just now
    return accumulator
