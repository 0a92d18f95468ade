"""Runs `slimline.core.quantization.use_case` on TFX artifacts."""

from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.features import load_schema
from slimline.core.models.saving import gzip_size
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.training import Watch
from slimline.core.optimization.weight_history import TrainingSummary, summarize_file
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.packaging import Package
from slimline.core.quantization.use_case import QuantizationRequest, QuantizedModel, WrittenFile, quantize_model
from slimline.core.tflite.comparison import worst_agreement, worst_sqnr_db
from slimline.names import file_names, metadata_keys
from slimline.shells import progress, shell
from slimline.shells.fine_tuning import (
    evaluation_properties,
    gains_properties,
    held_files,
    tell_lost,
    training_files,
    watch,
)
from slimline.shells.recording import recorded
from slimline.shells.tfx_internals import node_id


class QuantizerExecutor(BaseExecutor):
    """Executor of `Quantizer`."""

    @recorded
    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Reads model and calibration records, trains where that is asked for, converts, tries and writes the file."""
        with shell.local_folder(shell.single(input_dict, "model").uri) as source:
            quantized = quantize_model(self._request(source, input_dict, output_dict, exec_properties))
        for finding in quantized.package.report.findings:
            self._tell(finding)
        tell_lost(self, quantized.lost)
        output = shell.single(output_dict, "quantized_model")
        with shell.staged_output(output.uri) as folder:
            written = quantized.write(folder)
        shell.record(output, _properties(quantized, written))

    def _tell(self, text: str) -> None:
        progress.tell(node_id(self), text)

    def _request(
        self,
        source: Path,
        input_dict: shell.ArtifactsByKey,
        output_dict: shell.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> QuantizationRequest:
        config = QuantizationConfig.from_json(exec_properties[shell.CONFIG])
        data = exec_properties[shell.DATA]
        qat = config.qat or QatConfig()
        calibration: tuple[str, ...] = ()
        if input_dict.get("calibration"):
            folder = shell.single(input_dict, "calibration").uri.rstrip("/")
            calibration = (f"{folder}/{file_names.CALIBRATION_RECORDS}",)
        return QuantizationRequest(
            model=source,
            config=config,
            calibration=calibration,
            training_files=(lambda: training_files(input_dict, qat.split)) if input_dict.get("examples") else None,
            held_files=lambda: held_files(input_dict, qat),
            schema=load_schema(shell.schema_file(shell.single(input_dict, "schema"))) if data else None,
            data=ExamplesConfig.from_json(data) if data else None,
            watch=watch(self, shell.single(output_dict, "model_run")) if output_dict.get("model_run") else Watch(),
            tell=self._tell,
        )


def _properties(quantized: QuantizedModel, written: WrittenFile) -> dict[str, str | int | float]:
    packed, summary = quantized.package, summarize_file(quantized.tensors)
    return {
        metadata_keys.CONTENT_DIGEST: written.content_digest,
        metadata_keys.SOURCE_DIGEST: quantized.source_digest,
        metadata_keys.SCHEME: quantized.config.scheme,
        metadata_keys.BACKEND: quantized.config.backend,
        metadata_keys.PROVENANCE_ID: packed.report.provenance.provenance_id,
        metadata_keys.REPORT_DIGEST: written.report_digest,
        metadata_keys.IO_SPEC_DIGEST: written.io_spec_digest,
        metadata_keys.SIZE_BYTES: len(packed.content),
        metadata_keys.GZIP_BYTES: gzip_size(packed.content),
        metadata_keys.SPARSITY: summary.sparsity,
        metadata_keys.MAX_DISTINCT_PER_CHANNEL: summary.max_distinct_per_channel,
        **gains_properties(quantized.history, quantized.lost, written.gains_digest),
        **_smoke_run_properties(packed),
        **_selection_properties(packed),
        **_training_properties(quantized.training),
    }


def _smoke_run_properties(packed: Package) -> dict[str, float]:
    if packed.examination is None:
        return {}
    agreement = worst_agreement(packed.examination.outputs)
    return {
        metadata_keys.SQNR_DB: worst_sqnr_db(packed.examination.outputs),
        **({metadata_keys.AGREEMENT: agreement} if agreement is not None else {}),
    }


def _selection_properties(packed: Package) -> dict[str, str | int]:
    selective = packed.report.selective
    if selective is None:
        return {}
    return {
        metadata_keys.MEETS_GOAL: int(selective.meets_goal),
        metadata_keys.KEPT_OPERATIONS: ", ".join(selective.kept),
    }


def _training_properties(training: TrainingSummary | None) -> dict[str, str | int | float]:
    if training is None:
        return {}
    return {
        metadata_keys.TRAINING: "qat",
        metadata_keys.COLLABORATION: ", ".join(sorted(set(training.collaborations.values()))),
        **evaluation_properties(training.evaluations),
    }
