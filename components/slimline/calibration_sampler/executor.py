"""Runs `slimline.transforms.sampling` on TFX artifacts."""

import json
from typing import Any

import apache_beam as beam
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio

from slimline import names, shell
from slimline.core.sampling import SamplingConfig
from slimline.errors import ExamplesError
from slimline.transforms.sampling import SampleFiles, write_sample


class CalibrationSamplerExecutor(BaseBeamExecutor):
    """Executor of `CalibrationSampler`."""

    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Samples the split's files and writes records and manifest."""
        config = SamplingConfig.from_json(exec_properties[shell.CONFIG])
        output = shell.single(output_dict, "calibration")
        examples = shell.single(input_dict, "examples")
        files = shell.split_files(examples, config.split)
        shell.refuse_empty_splits(examples)
        # A worker on another machine writes it, so it can't be a local temporary folder.
        partial = f"{output.uri.rstrip('/')}/partial"
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Sample" >> SampleFiles(config)
                | "Write" >> beam.Map(write_sample, partial, config, files)
            )
        with fileio.open(f"{partial}/{names.CALIBRATION_MANIFEST_FILE}") as stream:
            manifest = json.loads(stream.read())
        try:
            _check(manifest, config)
            for name in (names.CALIBRATION_RECORDS_FILE, names.CALIBRATION_MANIFEST_FILE):
                fileio.rename(f"{partial}/{name}", f"{output.uri.rstrip('/')}/{name}")
        finally:
            fileio.rmtree(partial)
        shell.record(
            output,
            {
                names.NUM_RECORDS: manifest["num_records"],
                names.NUM_SCANNED: manifest["num_scanned"],
                names.SEED: config.seed,
            },
        )


def _check(manifest: dict[str, Any], config: SamplingConfig) -> None:
    if manifest["errors"]:
        raise ExamplesError(*manifest["errors"][0])
    num_records, num_scanned = manifest["num_records"], manifest["num_scanned"]
    if not num_records or (num_records < config.num_records and config.shortage == "error"):
        raise ExamplesError(
            f"{num_records} distinct record(s) among the {num_scanned} of split {config.split!r}",
            f"at least {config.num_records if num_records else 1}",
            "ask for fewer with num_records, or take what there is with shortage='take_all'"
            if num_records
            else "check that ExampleGen fills this split",
        )
