"""Validates candidates: from the folders that models lie in to the decision which of them may ship."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.evaluation.accumulators import Accumulator
from slimline.core.evaluation.conclusion import Tell, conclude
from slimline.core.evaluation.evaluator import Evaluator
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.overlap import Overlap, find_overlap
from slimline.core.evaluation.reports import Evaluation
from slimline.core.evaluation.running_candidate import Candidate
from slimline.core.evaluation.served_files import read_served
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.records import read_all
from slimline.core.models.loading import TrainedModel
from slimline.core.models.saving import read_tflite
from slimline.core.tflite.source import open_model
from slimline.errors import ModelError
from slimline.names import file_names


def _silent(text: str) -> None:
    pass


@dataclass(frozen=True)
class CandidateFile:
    """A file that may ship.

    Attributes:
      name: Different from that of every other candidate.
      scheme: That it was quantized with; empty when unknown.
      path: A `.tflite` file, or a folder that holds one.
      digests: `sha256:<hex>` of the files in its serving folder, as they were recorded when they were made: a file that
        has changed since rejects the candidate.
    """

    name: str
    scheme: str
    path: Path
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationRequest:
    """What to validate, against what, and on which examples.

    Attributes:
      baseline: Folder or file of the float original.
      candidates: At least one.
      files: Of the examples to judge by.
      config: Metrics, limits and goal.
      schema: Of the examples.
      data: Label and features of the examples.
      training_files: Of the examples that the model was trained on; empty leaves it unchecked whether it knows the
        others.
      training_name: Of those, for messages.
      tell: Takes a line for each step.
    """

    baseline: Path
    candidates: Sequence[CandidateFile]
    files: Sequence[str]
    config: GateConfig
    schema: schema_pb2.Schema
    data: ExamplesConfig
    training_files: Sequence[str] = ()
    training_name: str = "the training split"
    tell: Tell = _silent


@dataclass(frozen=True)
class Counted:
    """What the models did on all examples.

    Attributes:
      accumulator: Counts of all models.
      examples: Inputs of the first examples, each of shape (examples, …), to time the models and try targets with.
    """

    accumulator: Accumulator
    examples: Mapping[str, np.ndarray]


Count: TypeAlias = Callable[[ValidationRequest, TrainedModel, Sequence[Candidate]], Counted]
Look: TypeAlias = Callable[[ValidationRequest], Overlap | None]


def count_here(request: ValidationRequest, baseline: TrainedModel, candidates: Sequence[Candidate]) -> Counted:
    """Runs all models on the examples in this process, one file after the other."""
    with Evaluator(baseline, candidates, request.config, request.schema, request.data) as evaluator:
        return Counted(evaluator.evaluate_files(request.files), evaluator.first_examples(request.files))


def look_here(request: ValidationRequest) -> Overlap | None:
    """Looks for the examples among the training's in this process; None without the training's."""
    if not request.training_files:
        return None
    return find_overlap(read_all(request.files), read_all(request.training_files), request.training_name)


def validate_candidates(request: ValidationRequest, *, count: Count = count_here, look: Look = look_here) -> Evaluation:
    """Runs the original and all candidates on the same examples, applies the limits, and chooses.

    Args:
      request: What to validate.
      count: Runs the models; give another one to spread the files over more processes or machines.
      look: Looks for examples that were trained on, likewise.

    Raises:
      ModelError: The original can't be loaded or evaluated: then no candidate can be blessed.
      ExamplesError: There are no examples, or they do not fit the model or a metric.
      ConfigError: A limit names what is not there.
    """
    baseline = open_model(request.baseline, request.config.custom_objects)
    candidates = [_read(candidate) for candidate in request.candidates]
    counted = count(request, baseline, candidates)
    overlap = look(request)
    return conclude(
        baseline,
        candidates,
        counted.accumulator,
        counted.examples,
        request.config,
        warnings=overlap.warnings if overlap is not None else (),
        tell=request.tell,
    )


def _read(candidate: CandidateFile) -> Candidate:
    """Reads a candidate's file; one that can't be read is that candidate's verdict, and the others are still judged."""
    content: bytes | ModelError
    try:
        is_served = os.path.lexists(candidate.path / file_names.SERVING_FOLDER)
        served = read_served(candidate.path, candidate.digests) if is_served else None
        content = read_tflite(candidate.path) if served is None else served.content
    except ModelError as error:
        content = error
    return Candidate(candidate.name, candidate.scheme, content)
