import shutil
from pathlib import Path

import numpy as np
import pytest
from tfx.types import standard_artifacts

from slimline import (
    CalibrationDataset,
    ClusteringConfig,
    ExamplesConfig,
    PruningConfig,
    QatConfig,
    QuantizationConfig,
    names,
)
from slimline.clusterer.executor import ClustererExecutor
from slimline.core.digest import file_digest
from slimline.core.flatbuffer import float_operations, weight_tensors
from slimline.core.model_io import gzip_size, read_tflite
from slimline.core.quantization import CALIBRATED_SCHEMES, SCHEMES
from slimline.core.runtime import TFLiteModel
from slimline.errors import ExamplesError, ModelError
from slimline.pruner.executor import PrunerExecutor
from slimline.quantizer.executor import QuantizerExecutor
from tests import zoo
from tests.artifacts import model_artifact, output, schema_artifact, specimen_artifacts, specimen_data
from tests.conftest import SCHEMA, example, write_records
from tests.stages import event_files, gains, listening, run_stage

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


def quantize(inputs, folder, specimen, **options):
    config = QuantizationConfig(scheme="int8", training="qat", qat=QatConfig(epochs=2, batch_size=16, **options))
    return run_stage(QuantizerExecutor, "quantized_model", inputs, folder, config, specimen_data(specimen))


@pytest.fixture(scope="module")
def autoencoder():
    return zoo.autoencoder()


@pytest.fixture(scope="module")
def clustered(autoencoder, tmp_path_factory):
    """Inputs of a Quantizer with a model that was pruned and then clustered."""
    folder, data = tmp_path_factory.mktemp("clustered"), specimen_data(autoencoder)
    inputs = specimen_artifacts(autoencoder, folder)
    pruning = PruningConfig(target_sparsity=0.5, epochs=1, batch_size=16)
    inputs["model"] = [run_stage(PrunerExecutor, "pruned_model", inputs, folder, pruning, data)]
    clustering = ClusteringConfig(num_clusters=8, epochs=1, batch_size=16)
    inputs["model"] = [run_stage(ClustererExecutor, "clustered_model", inputs, folder, clustering, data)]
    return inputs


@pytest.mark.slow
def test_training_keeps_what_the_model_is_and_the_whole_history_is_on_record(autoencoder, clustered, tmp_path):
    with listening() as told:
        model = quantize(clustered, tmp_path, autoencoder)
    content = gains(tmp_path / "quantized_model")
    assert [stage["name"] for stage in content["stages"]] == ["original", "pruning", "clustering"]
    assert content["stages"] == gains(Path(clustered["model"][0].uri))["stages"]
    tensors = weight_tensors(read_tflite(tmp_path / "quantized_model"))
    assert [tensor.dtype for tensor in tensors] == ["int8", "int8"]
    assert [tensor["num_zeros"] for tensor in content["file"]["tensors"]] == [tensor.num_zeros for tensor in tensors]
    assert content["file"]["sparsity"] == sum(tensor.num_zeros for tensor in tensors) / 512 >= 0.5
    recorded = model.get_string_custom_property
    assert recorded(names.SPARSITY) == repr(content["file"]["sparsity"])
    assert recorded(names.SPARSITY_BEFORE) == "0.5"
    assert model.get_int_custom_property(names.MAX_DISTINCT_PER_CHANNEL) <= 8
    assert (recorded(names.TRAINING), recorded(names.COLLABORATION)) == ("qat", "pcqat")
    assert recorded(names.GAINS_DIGEST) == file_digest(tmp_path / "quantized_model" / names.GAINS_FILE)
    assert recorded(names.SOURCE_DIGEST) == clustered["model"][0].get_string_custom_property(names.CONTENT_DIGEST)
    assert (recorded(names.LOST_GAINS), content["lost"]) == ("", [])
    assert [(node, text.split(",")[0]) for node, text in told] == [
        ("quantized_model", "epoch 1/2"),
        ("quantized_model", "epoch 2/2"),
    ]
    assert event_files(tmp_path, "quantized_model")


@pytest.mark.slow
def test_gains_that_the_training_loses_are_on_record_or_leave_no_model(autoencoder, clustered, tmp_path):
    model = quantize(clustered, tmp_path, autoencoder, collaboration="plain", learning_rate=1e-2)
    lost = gains(tmp_path / "quantized_model")["lost"]
    assert "encode/kernel had 50.0% zeros after clustering, and has " in lost[0]
    assert model.get_string_custom_property(names.LOST_GAINS) == "; ".join(lost)
    config = QuantizationConfig(
        scheme="int8",
        training="qat",
        qat=QatConfig(epochs=1, batch_size=16, collaboration="plain", learning_rate=1e-2),
        on_lost_gain="error",
    )
    with pytest.raises(ModelError, match=r"% in the int8 file"):
        run_stage(QuantizerExecutor, "quantized_model", clustered, tmp_path / "b", config, specimen_data(autoencoder))
    assert not (tmp_path / "b" / "quantized_model").exists()
    assert not list((tmp_path / "b").glob(".*.partial"))


@pytest.mark.slow
def test_calibration_makes_integers_of_layers_that_can_not_be_trained(tmp_path):
    specimen = zoo.conv1d()
    inputs = specimen_artifacts(specimen, tmp_path)
    records = tmp_path / "calibration" / names.CALIBRATION_RECORDS_FILE
    records.parent.mkdir()
    shutil.copy(tmp_path / "examples" / "Split-train" / "data-00000-of-00001.gz", records)
    partly = quantize(inputs, tmp_path / "partly", specimen)
    inputs["calibration"] = [output(CalibrationDataset, records.parent)]
    fully = quantize(inputs, tmp_path / "fully", specimen)
    assert "CONV_2D" in float_operations(read_tflite(Path(partly.uri)))
    assert float_operations(read_tflite(Path(fully.uri))) == ()
    assert fully.get_string_custom_property(names.COLLABORATION) == "plain"


@pytest.mark.parametrize("scheme", ["float32", "float16"])
def test_conversion_alone_keeps_the_gains_and_records_no_training(clustered, tmp_path, scheme):
    quantized = output(standard_artifacts.Model, tmp_path / "quantized")
    properties = {"config": QuantizationConfig(scheme=scheme, on_lost_gain="error").to_json(), "data": ""}
    inputs = {"model": clustered["model"]}
    QuantizerExecutor().Do(inputs, {"quantized_model": [quantized], "model_run": []}, properties)
    content = gains(tmp_path / "quantized")
    assert [tensor["num_zeros"] for tensor in content["file"]["tensors"]] == [128, 128]
    assert quantized.get_string_custom_property(names.SPARSITY) == "0.5"
    assert not quantized.has_custom_property(names.TRAINING)
