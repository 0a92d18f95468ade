"""Runs `slimline.core.quantization.production` and `slimline.core.optimization.qat` on TFX artifacts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor

from slimline.core.digest import file_digest, model_digest
from slimline.core.examples.batches import representative_inputs
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.features import load_schema
from slimline.core.examples.records import check_records, files_digest
from slimline.core.models.loading import SavedModelGraph, TrainedModel, load_keras_model, load_model
from slimline.core.models.saving import gzip_size
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.weight_history import (
    WeightSnapshot,
    load_history,
    lost_in_file,
    save_history,
    summarize_file,
)
from slimline.core.quantization.backends.base import Representative
from slimline.core.quantization.configuration import QuantizationConfig, resolve_scheme
from slimline.core.quantization.conversion import convert_quantization_aware
from slimline.core.quantization.packaging import Package, find_input_origins, package
from slimline.core.quantization.production import Product, convert_float, produce
from slimline.core.tflite.comparison import worst_agreement, worst_sqnr_db
from slimline.core.tflite.flatbuffer import weight_tensors
from slimline.core.tflite.provenance import describe_origin
from slimline.names import file_names, metadata_keys
from slimline.shells import progress, shell
from slimline.shells.fine_tuning import check_kept, describe_gains, read_training_data, watch

# What a training kept of each layer, and why it left some: by those two words, by layer name.
Training: TypeAlias = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class _Task:
    """What one execution works on."""

    model: TrainedModel
    source_digest: str
    history: tuple[WeightSnapshot, ...]
    schema: schema_pb2.Schema | None
    data: ExamplesConfig | None
    representative: Representative | None = None
    calibration_digest: str | None = None
    training_digest: str | None = None


class QuantizerExecutor(BaseExecutor):
    """Executor of `Quantizer`."""

    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Reads model and calibration records, trains where that is asked for, converts, tries and writes the file."""
        config, advice = resolve_scheme(
            QuantizationConfig.from_json(exec_properties[shell.CONFIG]),
            has_calibration=bool(input_dict.get("calibration")),
            has_examples=bool(input_dict.get("examples")),
        )
        task = _open_task(input_dict, exec_properties[shell.DATA], config)
        if config.training == "qat":
            product, training = self._train(input_dict, output_dict, task, config)
        else:
            product, training = produce(task.model, config, task.representative, self._tell), None
        packed = package(
            task.model,
            config,
            product,
            task.representative,
            inputs=find_input_origins(task.model, task.schema, task.data),
            origin=describe_origin(
                source_digest=task.source_digest,
                config=config.to_json(),
                backend=config.backend,
                calibration_digest=task.calibration_digest,
                training_digest=task.training_digest,
            ),
            advice=advice,
        )
        for finding in packed.report["findings"]:
            self._tell(finding)
        self._write(shell.single(output_dict, "quantized_model"), packed, config, task, training)

    def _tell(self, text: str) -> None:
        progress.tell(shell.node_id(self), text)

    def _train(
        self,
        input_dict: shell.ArtifactsByKey,
        output_dict: shell.ArtifactsByKey,
        task: _Task,
        config: QuantizationConfig,
    ) -> tuple[Product, Training]:
        """Trains quantization-aware and converts; returns the file, and what the training kept and left."""
        assert task.data is not None
        qat = config.qat or QatConfig()
        dataset, num_examples = read_training_data(input_dict, task.model, qat, task.data)
        watched = watch(self, shell.single(output_dict, "model_run"))
        trained = train_quantization_aware(task.model, dataset, num_examples, qat, watch=watched)
        content = convert_quantization_aware(trained, task.representative, config)
        kept_and_left = {"collaborations": trained.collaborations, "left": trained.left}
        return Product(content, convert_float(task.model, config)), kept_and_left

    def _write(
        self, output: Any, packed: Package, config: QuantizationConfig, task: _Task, training: Training | None
    ) -> None:
        tensors = weight_tensors(packed.content)
        lost = lost_in_file(task.history[-1], tensors, config.scheme) if task.history else ()
        check_kept(self, lost, config.on_lost_gain)
        with shell.staged_output(output.uri) as folder:
            report_digest = file_digest(packed.write(folder))
            content_digest = model_digest(folder)
            gains = save_history(folder, task.history, lost, tensors=tensors, training=training)
            gains_properties = describe_gains(gains, task.history, lost)
        shell.record(
            output,
            {
                metadata_keys.CONTENT_DIGEST: content_digest,
                metadata_keys.SOURCE_DIGEST: task.source_digest,
                metadata_keys.SCHEME: config.scheme,
                metadata_keys.BACKEND: config.backend,
                metadata_keys.PROVENANCE_ID: packed.report["provenance"]["provenance_id"],
                metadata_keys.REPORT_DIGEST: report_digest,
                metadata_keys.SIZE_BYTES: len(packed.content),
                metadata_keys.GZIP_BYTES: gzip_size(packed.content),
                **summarize_file(tensors),
                **gains_properties,
                **_describe_smoke_run(packed),
                **_describe_selection(packed),
                **_describe_training(training),
            },
        )


def _describe_smoke_run(packed: Package) -> dict[str, float]:
    if packed.examination is None:
        return {}
    agreement = worst_agreement(packed.examination.outputs)
    return {
        metadata_keys.SQNR_DB: worst_sqnr_db(packed.examination.outputs),
        **({metadata_keys.AGREEMENT: agreement} if agreement is not None else {}),
    }


def _describe_selection(packed: Package) -> dict[str, str | int]:
    selective = packed.report["selective"]
    if selective is None:
        return {}
    return {
        metadata_keys.MEETS_GOAL: int(selective["meets_goal"]),
        metadata_keys.KEPT_OPERATIONS: ", ".join(selective["kept"]),
    }


def _describe_training(training: Training | None) -> dict[str, str]:
    if training is None:
        return {}
    return {
        metadata_keys.TRAINING: "qat",
        metadata_keys.COLLABORATION: ", ".join(sorted(set(training["collaborations"].values()))),
    }


def _open_task(input_dict: shell.ArtifactsByKey, data: str, config: QuantizationConfig) -> _Task:
    load = load_model if config.training is None else load_keras_model
    with shell.local_folder(shell.single(input_dict, "model").uri) as source:
        model = load(source, config.custom_objects)
        task = _Task(
            model=model,
            source_digest=model_digest(source),
            history=() if isinstance(model, SavedModelGraph) else load_history(source, model),
            schema=load_schema(shell.schema_file(shell.single(input_dict, "schema"))) if data else None,
            data=ExamplesConfig.from_json(data) if data else None,
        )
    if input_dict.get("calibration"):
        task = _with_calibration(task, shell.single(input_dict, "calibration").uri)
    if config.training is not None:
        files = shell.split_files(shell.single(input_dict, "examples"), (config.qat or QatConfig()).split)
        task = replace(task, training_digest=files_digest(files))
    return task


def _with_calibration(task: _Task, uri: str) -> _Task:
    """Adds the calibration records, after checking that they can be read."""
    assert task.schema is not None
    assert task.data is not None
    schema, data = task.schema, task.data
    records = check_records((f"{uri.rstrip('/')}/{file_names.CALIBRATION_RECORDS}",))

    def read() -> Iterator[dict[str, Any]]:
        return representative_inputs(records, schema, task.model, data)

    # The first record shows whether schema and model fit together: before the conversion rather than inside of it.
    next(read())
    return replace(task, representative=read, calibration_digest=files_digest(records.files))
