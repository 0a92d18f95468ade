"""Runs `slimline.transforms.evaluation` and `slimline.core.evaluation.conclusion` on TFX artifacts."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from tfx.dsl.io import fileio
from tfx.types.artifact import Artifact

from slimline.core.digest import model_digest
from slimline.core.evaluation.accumulators import Tallies
from slimline.core.evaluation.conclusion import Evaluation, conclude
from slimline.core.evaluation.gates import GateConfig
from slimline.core.models.loading import load_model
from slimline.core.sampling.rank import SamplingConfig
from slimline.edge_validator.outputs import bless, refuse, write_evaluation
from slimline.errors import ExamplesError
from slimline.names import file_names, metadata_keys
from slimline.shells import progress, shell
from slimline.shells.beam_execution import PinnedBeamExecutor, scratch_folder
from slimline.transforms.evaluation import (
    EvaluateFiles,
    EvaluationJob,
    close_evaluators,
    local_copy,
    open_evaluator,
    read_candidate,
    read_tallies,
    write_tallies,
)
from slimline.transforms.overlap import FindSampled, write_found
from slimline.transforms.sampling import SampleFiles, source_files, write_sample

CANDIDATE_KEYS = tuple(f"candidate_{number:02}" for number in range(1, 17))
CANDIDATE_NAMES = "candidate_names"
# Records of the evaluation split that are looked for in the training split: the share found is sure to a few percent.
_NUM_LOOKED_FOR = 256


class EdgeValidatorExecutor(PinnedBeamExecutor):
    """Executor of `EdgeValidator`."""

    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Evaluates all candidates; writes evaluation, blessings and the blessed model, or the refusal."""
        config = GateConfig.from_json(exec_properties[shell.CONFIG])
        labels = json.loads(exec_properties[CANDIDATE_NAMES])
        artifacts = {label: shell.single(input_dict, key) for label, key in zip(labels, CANDIDATE_KEYS, strict=False)}
        baseline = shell.single(input_dict, "baseline")
        job = EvaluationJob(
            baseline=baseline.uri,
            candidates=tuple(
                (label, artifact.get_string_custom_property(metadata_keys.SCHEME), artifact.uri)
                for label, artifact in artifacts.items()
            ),
            schema=shell.schema_file(shell.single(input_dict, "schema")),
            config=exec_properties[shell.CONFIG],
            data=exec_properties[shell.DATA],
        )
        examples = shell.single(input_dict, "examples")
        files = shell.split_files(examples, config.split)
        with _evaluators(), scratch_folder(shell.single(output_dict, "evaluation").uri) as folder:
            tallies = self._count(files, job, folder)
            warnings = self._find_overlap(examples, files, config, folder)
            evaluation = self._conclude(files, job, tallies, config, warnings)
        baseline_digest = model_digest(local_copy(baseline.uri))
        write_evaluation(shell.single(output_dict, "evaluation"), evaluation, baseline_digest)
        blessings = {key: shell.single(output_dict, key) for key in ("blessing", "infra_blessing", "blessed_model")}
        if evaluation.chosen is None:
            refuse(blessings, list(artifacts.values()), evaluation)
        else:
            bless(blessings, artifacts[evaluation.chosen], evaluation)

    def _count(self, files: Sequence[str], job: EvaluationJob, folder: str) -> Tallies:
        path = f"{folder}/tallies"
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Evaluate" >> EvaluateFiles(job)
                | "Write" >> beam.Map(write_tallies, path)
            )
        return read_tallies(path)

    def _conclude(
        self, files: Sequence[str], job: EvaluationJob, tallies: Tallies, config: GateConfig, warnings: Sequence[str]
    ) -> Evaluation:
        if tallies.errors:
            raise tallies.errors[0]
        return conclude(
            load_model(local_copy(job.baseline), config.custom_objects),
            [read_candidate(*candidate) for candidate in job.candidates],
            tallies,
            open_evaluator(job).first_example(files),
            config,
            warnings=warnings,
            tell=lambda text: progress.tell(shell.node_id(self), text),
        )

    def _find_overlap(
        self, examples: Artifact, files: Sequence[str], config: GateConfig, folder: str
    ) -> tuple[str, ...]:
        """Returns a warning when records of the evaluation split are in the training split too."""
        if config.training_split is None:
            return ()
        try:
            training_files = shell.split_files(examples, config.training_split)
        except ExamplesError as error:
            return (f"It was not checked whether examples were trained on: {error.found}.",)
        sampling = SamplingConfig(
            num_records=_NUM_LOOKED_FOR, split=config.split, evaluation_split=None, on_shortage="warn"
        )
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(source_files(files))
                | "Sample" >> SampleFiles(sampling, margin=float("inf"))
                | "Write" >> beam.Map(write_sample, folder, sampling)
            )
        manifest = f"{folder}/{file_names.CALIBRATION_MANIFEST}"
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(training_files)
                | "Find" >> FindSampled(manifest)
                | "Write" >> beam.Map(write_found, f"{folder}/found.json")
            )
        with fileio.open(manifest) as stream:
            num_looked_for = json.loads(stream.read())["num_records"]
        with fileio.open(f"{folder}/found.json") as stream:
            found = json.loads(stream.read())
        if found["errors"]:
            return (f"It was not checked whether examples were trained on: {found['errors'][0][0]}.",)
        num_found = len(found["ranks"])
        if not num_found:
            return ()
        return (
            f"{num_found} of {num_looked_for} examples looked for are in split {config.training_split!r} as well: the "
            "metrics flatter the models.",
        )


@contextmanager
def _evaluators() -> Iterator[None]:
    try:
        yield
    finally:
        close_evaluators()
