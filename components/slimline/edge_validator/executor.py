"""Runs `slimline.core.evaluation.use_case` on TFX artifacts, with `slimline.transforms` for what is large."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from tfx.dsl.io import fileio
from tfx.types.artifact import Artifact

from slimline.core.digest import model_digest
from slimline.core.evaluation.gates import GateConfig
from slimline.core.evaluation.overlap import NUM_LOOKED_FOR, Overlap
from slimline.core.evaluation.use_case import CandidateFile, Counted, ValidationRequest, validate_candidates
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.features import load_schema
from slimline.core.sampling.rank import SamplingConfig
from slimline.edge_validator.outputs import bless, measured_files, recorded_digests, refuse, write_evaluation
from slimline.errors import ExamplesError
from slimline.names import file_names, metadata_keys
from slimline.report.summary import summary_lines
from slimline.shells import progress, shell
from slimline.shells.beam_execution import PinnedBeamExecutor, scratch_folder
from slimline.shells.log import announce
from slimline.shells.recording import recorded
from slimline.shells.tfx_internals import node_id
from slimline.transforms.evaluation import (
    EvaluateFiles,
    EvaluationJob,
    close_evaluators,
    local_copy,
    open_evaluator,
    read_counts,
    write_counts,
)
from slimline.transforms.overlap import FindSampled, write_found
from slimline.transforms.sampling import SampleFiles, source_files, write_sample

CANDIDATE_KEYS = tuple(f"candidate_{number:02}" for number in range(1, 17))
CANDIDATE_NAMES = "candidate_names"


class EdgeValidatorExecutor(PinnedBeamExecutor):
    """Executor of `EdgeValidator`."""

    @recorded
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
        request = ValidationRequest(
            baseline=local_copy(baseline.uri),
            candidates=[
                CandidateFile(label, scheme, local_copy(uri), recorded_digests(artifacts[label]))
                for label, scheme, uri in job.candidates
            ],
            files=files,
            config=config,
            schema=load_schema(job.schema),
            data=ExamplesConfig.from_json(job.data),
            tell=lambda text: progress.tell(node_id(self), text),
        )
        for output in output_dict.values():
            shell.clear_output(shell.single({"": output}, ""))
        with _evaluators(), scratch_folder(shell.single(output_dict, "evaluation").uri) as folder:
            evaluation = validate_candidates(
                request,
                count=lambda request, *_: self._count(request.files, job, folder),
                look=lambda request: self._look(examples, request, folder),
            )
        # Before anything is written: what is blessed is what was measured, or nothing is left behind.
        served = None if evaluation.chosen is None else measured_files(artifacts[evaluation.chosen], evaluation)
        baseline_digest = model_digest(request.baseline)
        write_evaluation(shell.single(output_dict, "evaluation"), evaluation, baseline_digest)
        blessings = {key: shell.single(output_dict, key) for key in ("blessing", "infra_blessing", "blessed_model")}
        if served is None:
            refuse(blessings, list(artifacts.values()), evaluation)
        else:
            bless(blessings, artifacts[evaluation.chosen or ""], served, evaluation)
        name = node_id(self) or "EdgeValidator"
        announce(name, summary_lines(evaluation.to_dict()), is_good=evaluation.chosen is not None)

    def _count(self, files: Sequence[str], job: EvaluationJob, folder: str) -> Counted:
        """Runs the models with Beam, each worker on files of its own."""
        path = f"{folder}/counts"
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Evaluate" >> EvaluateFiles(job)
                | "Write" >> beam.Map(write_counts, path)
            )
        accumulator = read_counts(path)
        if accumulator.errors:
            raise accumulator.errors[0]
        return Counted(accumulator, open_evaluator(job).first_examples(files))

    def _look(self, examples: Artifact, request: ValidationRequest, folder: str) -> Overlap | None:
        """Looks with Beam for records of the evaluation split in the training split."""
        config = request.config
        if config.training_split is None:
            return None
        name = f"split {config.training_split!r}"
        try:
            training_files = shell.split_files(examples, config.training_split)
        except ExamplesError as error:
            return Overlap(0, 0, name, error.found)
        sampling = SamplingConfig(
            num_records=NUM_LOOKED_FOR, split=config.split, evaluation_split=None, on_shortage="warn"
        )
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(source_files(request.files))
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
        failure = found["errors"][0][0] if found["errors"] else ""
        return Overlap(len(found["ranks"]), num_looked_for, name, failure)


@contextmanager
def _evaluators() -> Iterator[None]:
    try:
        yield
    finally:
        close_evaluators()
