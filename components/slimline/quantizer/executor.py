"""Runs `slimline.core.quantization` and `slimline.core.qat` on TFX artifacts."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from tfx.dsl.components.base.base_executor import BaseExecutor

from slimline import names, shell
from slimline.core.digest import model_digest
from slimline.core.examples import ExamplesConfig, representative_inputs
from slimline.core.features import load_schema
from slimline.core.flatbuffer import weight_tensors
from slimline.core.gains import Stage, load_history, lost_in_file, save_history, summarize_file
from slimline.core.intake import SavedModelGraph, TrainedModel, load_keras_model, load_model
from slimline.core.model_io import gzip_size, write_tflite
from slimline.core.qat import QatConfig, train_quantization_aware
from slimline.core.quantization import (
    QuantizationConfig,
    Representative,
    convert_quantization_aware,
    quantize,
)
from slimline.core.records import check_records
from slimline.fine_tuning import check_kept, describe_gains, read_training_data, watch

# What a training kept of each layer, and why it left some: by those two words, by layer name.
Training: TypeAlias = Mapping[str, Mapping[str, str]]


class QuantizerExecutor(BaseExecutor):
    """Executor of `Quantizer`."""

    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Reads model and calibration records, trains where that is asked for, converts, and writes the file."""
        config = QuantizationConfig.from_json(exec_properties[shell.CONFIG])
        data = ExamplesConfig.from_json(exec_properties[shell.DATA]) if exec_properties[shell.DATA] else None
        load = load_model if config.training is None else load_keras_model
        with shell.local_folder(shell.single(input_dict, "model").uri) as source:
            model = load(source, config.custom_objects)
            source_digest = model_digest(source)
            history = () if isinstance(model, SavedModelGraph) else load_history(source, model)
        representative = None
        if input_dict.get("calibration"):
            assert data is not None
            representative = _calibration(input_dict, model, data)
        if config.training == "qat":
            assert data is not None
            content, training = self._train(
                input_dict, output_dict, model, config.qat or QatConfig(), data, representative
            )
        else:
            content, training = quantize(model, config, representative), None
        self._write(shell.single(output_dict, "quantized_model"), content, config, history, source_digest, training)

    def _train(
        self,
        input_dict: shell.ArtifactsByKey,
        output_dict: shell.ArtifactsByKey,
        model: TrainedModel,
        config: QatConfig,
        data: ExamplesConfig,
        representative: Representative | None,
    ) -> tuple[bytes, Training]:
        """Trains quantization-aware and converts; returns the file, and what the training kept and left."""
        dataset, num_examples = read_training_data(input_dict, model, config, data)
        watched = watch(self, shell.single(output_dict, "model_run"))
        trained = train_quantization_aware(model, dataset, num_examples, config, watch=watched)
        kept_and_left = {"collaborations": trained.collaborations, "left": trained.left}
        return convert_quantization_aware(trained, representative), kept_and_left

    def _write(
        self,
        output: Any,
        content: bytes,
        config: QuantizationConfig,
        history: tuple[Stage, ...],
        source_digest: str,
        training: Training | None,
    ) -> None:
        tensors = weight_tensors(content)
        lost = lost_in_file(history[-1], tensors, config.scheme) if history else ()
        check_kept(self, lost, config.on_lost_gain)
        with shell.staged_output(output.uri) as folder:
            write_tflite(content, folder)
            content_digest = model_digest(folder)
            gains = save_history(folder, history, lost, tensors=tensors, training=training)
            gains_properties = describe_gains(gains, history, lost)
        shell.record(
            output,
            {
                names.CONTENT_DIGEST: content_digest,
                names.SOURCE_DIGEST: source_digest,
                names.SCHEME: config.scheme,
                names.SIZE_BYTES: len(content),
                names.GZIP_BYTES: gzip_size(content),
                **summarize_file(tensors),
                **gains_properties,
                **_describe_training(training),
            },
        )


def _describe_training(training: Training | None) -> dict[str, str]:
    if training is None:
        return {}
    return {names.TRAINING: "qat", names.COLLABORATION: ", ".join(sorted(set(training["collaborations"].values())))}


def _calibration(input_dict: shell.ArtifactsByKey, model: TrainedModel, data: ExamplesConfig) -> Representative:
    """Returns a function that reads the calibration records, after checking that they can be read."""
    schema = load_schema(shell.schema_file(shell.single(input_dict, "schema")))
    folder = shell.single(input_dict, "calibration").uri.rstrip("/")
    records = check_records((f"{folder}/{names.CALIBRATION_RECORDS_FILE}",))

    def read() -> Iterator[dict[str, Any]]:
        return representative_inputs(records, schema, model, data)

    # The first record shows whether schema and model fit together: before the conversion rather than inside of it.
    next(read())
    return read
