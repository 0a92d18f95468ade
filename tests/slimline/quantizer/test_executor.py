import numpy as np
import pytest
from tfx.types import standard_artifacts

from slimline import CalibrationDataset, ExamplesConfig, QuantizationConfig, names
from slimline.core.digest import file_digest
from slimline.core.model_io import gzip_size, read_tflite
from slimline.core.quantization import CALIBRATED_SCHEMES, SCHEMES
from slimline.core.runtime import TFLiteModel
from slimline.errors import ExamplesError
from slimline.quantizer.executor import QuantizerExecutor
from tests.artifacts import model_artifact, output, schema_artifact
from tests.conftest import SCHEMA, example, write_records

LABEL = ExamplesConfig(label_key="digit").to_json()


@pytest.fixture
def inputs(tmp_path, trained, digits):
    images, labels = digits
    records = [example(image, int(label)) for image, label in zip(images[:50], labels, strict=False)]
    write_records(tmp_path / "calibration" / names.CALIBRATION_RECORDS_FILE, records)
    return {
        "model": [model_artifact(tmp_path / "model", trained)],
        "schema": [schema_artifact(tmp_path / "schema")],
        "calibration": [output(CalibrationDataset, tmp_path / "calibration")],
    }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_gives_a_file_that_agrees_with_the_model(scheme, inputs, tmp_path, trained, digits):
    if scheme not in CALIBRATED_SCHEMES:
        del inputs["calibration"], inputs["schema"]
    quantized = output(standard_artifacts.Model, tmp_path / "quantized")
    properties = {"config": QuantizationConfig(scheme=scheme).to_json(), "data": LABEL}
    QuantizerExecutor().Do(inputs, {"quantized_model": [quantized], "model_run": []}, properties)
    content = read_tflite(tmp_path / "quantized")
    images = digits[0][:100]
    scores = TFLiteModel(content, scheme).predict({"image": images})["scores"]
    assert (scores.argmax(1) == trained.predict(images, verbose=0).argmax(1)).mean() >= 0.97
    assert np.isfinite(scores).all()
    digest = file_digest(tmp_path / "quantized" / "Format-Serving" / "tflite")
    assert quantized.get_string_custom_property(names.CONTENT_DIGEST) == digest
    assert quantized.get_string_custom_property(names.SCHEME) == scheme
    assert quantized.get_int_custom_property(names.GZIP_BYTES) == gzip_size(content)


def test_a_model_input_without_a_feature_is_refused_before_the_conversion(inputs, tmp_path):
    schema = SCHEMA.replace("image", "pixels") + 'feature { name: "weight" type: FLOAT }'
    inputs["schema"] = [schema_artifact(tmp_path / "other", schema)]
    quantized = output(standard_artifacts.Model, tmp_path / "quantized")
    properties = {"config": QuantizationConfig(scheme="int8").to_json(), "data": LABEL}
    with pytest.raises(ExamplesError, match="the model input 'image'"):
        QuantizerExecutor().Do(inputs, {"quantized_model": [quantized], "model_run": []}, properties)
    assert not (tmp_path / "quantized").exists()
