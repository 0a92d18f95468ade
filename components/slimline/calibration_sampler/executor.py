"""Runs `slimline.transforms.sampling` on TFX artifacts."""

import json
import math
from typing import Any

import apache_beam as beam
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from slimline.calibration_sampler.checks import check_sample, describe_sample, raise_errors
from slimline.core.sampling.rank import SamplingConfig
from slimline.errors import ExamplesError, near_miss
from slimline.names import file_names, metadata_keys
from slimline.shells import progress, shell
from slimline.shells.beam_execution import PinnedBeamExecutor, scratch_folder
from slimline.shells.recording import recorded
from slimline.shells.tfx_internals import node_id
from slimline.transforms.overlap import FindSampled, write_found
from slimline.transforms.sampling import SampleFiles, source_files, write_sample

# Factors on the threshold below which records are sent on. The first nearly always suffices; repeated records or strata
# in few files need more, and without a threshold the sample is always exact.
_MARGINS = (1.0, 64.0, math.inf)
_FOUND_FILE = "found.json"


class CalibrationSamplerExecutor(PinnedBeamExecutor):
    """Executor of `CalibrationSampler`."""

    @recorded
    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Samples the split's files, checks the sample, and writes records and manifest."""
        config = SamplingConfig.from_json(exec_properties[shell.CONFIG])
        output = shell.single(output_dict, "calibration")
        examples = shell.single(input_dict, "examples")
        files = shell.split_files(examples, config.split)
        evaluation_files = _evaluation_files(examples, config)
        shell.refuse_empty_splits(examples)
        with scratch_folder(output.uri) as folder:
            manifest = self._sample(files, config, folder)
            found = self._find(evaluation_files, folder)
            description = describe_sample(input_dict, exec_properties[shell.DATA], folder, config)
            problems = check_sample(manifest, description, found, config)
            raise_errors(problems, config)
            for problem in problems:
                progress.tell(node_id(self), f"warning: {problem.text}")
            complete = {**manifest, **description.to_dict(), "warnings": [problem.text for problem in problems]}
            _write_json(f"{folder}/{file_names.CALIBRATION_MANIFEST}", complete)
            for name in (file_names.CALIBRATION_RECORDS, file_names.CALIBRATION_MANIFEST):
                fileio.rename(f"{folder}/{name}", f"{output.uri.rstrip('/')}/{name}")
        shell.record(output, _properties(complete, config))

    def _sample(self, files: tuple[str, ...], config: SamplingConfig, folder: str) -> dict[str, Any]:
        sources = source_files(files)
        for margin in _MARGINS:
            with self._make_beam_pipeline() as pipeline:
                _ = (
                    pipeline
                    | "Files" >> beam.Create(sources)
                    | "Sample" >> SampleFiles(config, margin)
                    | "Write" >> beam.Map(write_sample, folder, config)
                )
            manifest = _read_json(f"{folder}/{file_names.CALIBRATION_MANIFEST}")
            if manifest["errors"]:
                raise ExamplesError(*manifest["errors"][0])
            if manifest["is_exact"]:
                break
        # What only the way of computing it needs, and no reader.
        return {key: value for key, value in manifest.items() if key not in ("errors", "is_exact")}

    def _find(self, files: tuple[str, ...], folder: str) -> list[str]:
        """Returns the ranks of the sampled records that are in the evaluation split too."""
        if not files:
            return []
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Find" >> FindSampled(f"{folder}/{file_names.CALIBRATION_MANIFEST}")
                | "Write" >> beam.Map(write_found, f"{folder}/{_FOUND_FILE}")
            )
        found = _read_json(f"{folder}/{_FOUND_FILE}")
        if found["errors"]:
            raise ExamplesError(*found["errors"][0])
        ranks: list[str] = found["ranks"]
        return ranks


def _evaluation_files(examples: Any, config: SamplingConfig) -> tuple[str, ...]:
    if config.evaluation_split is None:
        return ()
    try:
        return shell.split_files(examples, config.evaluation_split)
    except ExamplesError as error:
        raise ExamplesError(
            f"{error.found}, which evaluation_split names",
            error.expected,
            "give evaluation_split=... the split that the EdgeValidator reads, or None when there is none."
            + near_miss(config.evaluation_split, artifact_utils.decode_split_names(examples.split_names)),
        ) from None


def _properties(manifest: dict[str, Any], config: SamplingConfig) -> dict[str, Any]:
    return {
        metadata_keys.NUM_RECORDS: manifest["num_records"],
        metadata_keys.NUM_SCANNED: manifest["num_scanned"],
        metadata_keys.NUM_DISTINCT: manifest["num_distinct_estimate"],
        metadata_keys.SEED: config.seed,
        metadata_keys.SOURCE_DIGEST: manifest["source_digest"],
        metadata_keys.CONTENT_DIGEST: manifest["records_digest"],
        metadata_keys.WARNINGS: "; ".join(manifest["warnings"]),
    }


def _read_json(path: str) -> dict[str, Any]:
    with fileio.open(path) as stream:
        content: dict[str, Any] = json.loads(stream.read())
    return content


def _write_json(path: str, content: dict[str, Any]) -> None:
    with fileio.open(path, "w") as stream:
        stream.write(json.dumps(content, indent=1) + "\n")
