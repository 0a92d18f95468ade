"""Runs `slimline.core.quantization` on TFX artifacts."""

from collections.abc import Iterator
from typing import Any

import tf_keras
from tfx.dsl.components.base.base_executor import BaseExecutor

from slimline import names, shell
from slimline.core.digest import model_digest
from slimline.core.examples import ExamplesConfig, check_records, load_schema, representative_inputs
from slimline.core.model_io import gzip_size, load_keras_model, write_tflite
from slimline.core.quantization import QuantizationConfig, Representative, quantize


class QuantizerExecutor(BaseExecutor):
    """Executor of `Quantizer`."""

    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Reads model and calibration records, converts, and writes the `.tflite` file."""
        config = QuantizationConfig.from_json(exec_properties[shell.CONFIG])
        output = shell.single(output_dict, "quantized_model")
        with shell.local_folder(shell.single(input_dict, "model").uri) as source:
            model = load_keras_model(source)
            source_digest = model_digest(source)
        representative = None
        if input_dict.get("calibration"):
            representative = _calibration(input_dict, model, ExamplesConfig.from_json(exec_properties[shell.DATA]))
        content = quantize(model, config, representative)
        with shell.staged_output(output.uri) as folder:
            write_tflite(content, folder)
            content_digest = model_digest(folder)
        shell.record(
            output,
            {
                names.CONTENT_DIGEST: content_digest,
                names.SOURCE_DIGEST: source_digest,
                names.SCHEME: config.scheme,
                names.SIZE_BYTES: len(content),
                names.GZIP_BYTES: gzip_size(content),
            },
        )


def _calibration(input_dict: shell.ArtifactsByKey, model: tf_keras.Model, data: ExamplesConfig) -> Representative:
    """Returns a function that reads the calibration records, after checking that they can be read."""
    schema = load_schema(shell.schema_file(shell.single(input_dict, "schema")))
    folder = shell.single(input_dict, "calibration").uri.rstrip("/")
    records = check_records((f"{folder}/{names.CALIBRATION_RECORDS_FILE}",))

    def read() -> Iterator[dict[str, Any]]:
        return representative_inputs(records, schema, model, data)

    # The first record shows whether schema and model fit together: before the conversion rather than inside of it.
    next(read())
    return read
