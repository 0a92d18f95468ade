import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import standard_artifacts

from slimline import (
    CalibrationDataset,
    ClusteringConfig,
    ExamplesConfig,
    PruningConfig,
    QatConfig,
    QuantizationConfig,
    SelectiveConfig,
    Wishes,
)
from slimline.clusterer.executor import ClustererExecutor
from slimline.core.digest import file_digest
from slimline.core.models.saving import gzip_size, read_tflite
from slimline.core.schemes import CALIBRATED_SCHEMES, SCHEMES
from slimline.core.tflite.flatbuffer import float_operations, operations, weight_tensors
from slimline.core.tflite.provenance import read_provenance_id
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ExamplesError, ModelError
from slimline.names import file_names, metadata_keys
from slimline.pruner.executor import PrunerExecutor
from slimline.quantizer.executor import QuantizerExecutor
from tests import zoo
from tests.artifacts import model_artifact, output, schema_artifact, specimen_artifacts, specimen_data
from tests.conftest import SCHEMA, example, write_records
from tests.executors import event_files, gains, listening, run_executor
from tests.handmade import wide_model

LABEL = ExamplesConfig(label_key="digit").to_json()


@pytest.fixture
def inputs(tmp_path, trained, digits):
    images, labels = digits
    records = [example(image, int(label)) for image, label in zip(images[:50], labels, strict=False)]
    write_records(tmp_path / "calibration" / file_names.CALIBRATION_RECORDS, records)
    return {
        "model": [model_artifact(tmp_path / "model", trained)],
        "schema": [schema_artifact(tmp_path / "schema")],
        "calibration": [output(CalibrationDataset, tmp_path / "calibration")],
    }


@pytest.fixture(scope="module")
def wide(digits):
    """A trained CNN that plain int8 breaks."""
    return wide_model(*digits)


def run(inputs, folder, config, data=LABEL):
    """Runs the executor as the node `Quantizer`, and returns the model's artifact and folder."""
    quantized = output(standard_artifacts.Model, folder / "quantized")
    node = pipeline_pb2.PipelineNode(node_info=pipeline_pb2.NodeInfo(id="Quantizer"))
    properties = {"config": config.to_json(), "data": data}
    executor = QuantizerExecutor(BaseExecutor.Context(pipeline_node=node))
    executor.Do(inputs, {"quantized_model": [quantized], "model_run": []}, properties)
    return quantized, folder / "quantized"


def report_in(folder):
    return json.loads((folder / file_names.QUANTIZATION_REPORT).read_text())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_gives_a_file_that_agrees_with_the_model(scheme, inputs, tmp_path, trained, digits):
    if scheme not in CALIBRATED_SCHEMES:
        del inputs["calibration"], inputs["schema"]
    quantized = output(standard_artifacts.Model, tmp_path / "quantized")
    data = LABEL if scheme in CALIBRATED_SCHEMES else ""
    properties = {"config": QuantizationConfig(scheme=scheme).to_json(), "data": data}
    QuantizerExecutor().Do(inputs, {"quantized_model": [quantized], "model_run": []}, properties)
    content = read_tflite(tmp_path / "quantized")
    images = digits[0][:100]
    scores = TFLiteModel(content, scheme).predict({"image": images})["scores"]
    assert (scores.argmax(1) == trained.predict(images, verbose=0).argmax(1)).mean() >= 0.97
    assert np.isfinite(scores).all()
    digest = file_digest(tmp_path / "quantized" / "Format-Serving" / "tflite")
    assert quantized.get_string_custom_property(metadata_keys.CONTENT_DIGEST) == digest
    assert quantized.get_string_custom_property(metadata_keys.SCHEME) == scheme
    assert quantized.get_int_custom_property(metadata_keys.GZIP_BYTES) == gzip_size(content)


@pytest.mark.parametrize("backend", ["converter", "litert-quantizer"])
def test_the_file_its_ends_and_its_report_lie_beside_one_another(backend, inputs, tmp_path):
    config = QuantizationConfig(scheme="int8", backend=backend, label_names=tuple("abcdefghij"))
    quantized, folder = run(inputs, tmp_path, config)
    report, content = report_in(folder), read_tflite(folder)
    spec = json.loads((folder / "Format-Serving" / file_names.IO_SPEC).read_text())
    beside = {"Format-Serving", "steps.jsonl", file_names.QUANTIZATION_REPORT}
    assert {path.name for path in folder.iterdir()} == beside | (
        {file_names.GAINS} if (folder / file_names.GAINS).exists() else set()
    )
    assert {path.name for path in (folder / "Format-Serving").iterdir()} == {"tflite", file_names.IO_SPEC}
    assert [end["feature"] for end in spec["inputs"]] == ["image"]
    assert spec["label_names"] == list("abcdefghij")
    recorded, counted = quantized.get_string_custom_property, quantized.get_int_custom_property
    assert recorded(metadata_keys.BACKEND) == report["backend"] == backend
    assert recorded(metadata_keys.REPORT_DIGEST) == file_digest(folder / file_names.QUANTIZATION_REPORT)
    assert recorded(metadata_keys.IO_SPEC_DIGEST) == file_digest(folder / "Format-Serving" / file_names.IO_SPEC)
    assert recorded(metadata_keys.PROVENANCE_ID) == report["provenance"]["provenance_id"] == read_provenance_id(content)
    assert recorded(metadata_keys.SOURCE_DIGEST) == report["provenance"]["source_digest"]
    assert float(recorded(metadata_keys.SQNR_DB)) == report["trial"]["outputs"]["scores"]["sqnr_db"] > 15
    assert float(recorded(metadata_keys.AGREEMENT)) == report["trial"]["outputs"]["scores"]["agreement"] >= 0.95
    assert counted(metadata_keys.SIZE_BYTES) == report["sizes"]["bytes"] == len(content)
    assert counted(metadata_keys.GZIP_BYTES) == report["sizes"]["gzip_bytes"] == gzip_size(content)
    assert report["provenance"]["calibration_digest"].startswith("sha256:")
    assert not quantized.has_custom_property(metadata_keys.MEETS_GOAL)


def test_calibration_that_a_scheme_does_not_need_is_what_it_is_tried_on(inputs, tmp_path):
    _, tried = run(inputs, tmp_path / "tried", QuantizationConfig(scheme="float16"))
    del inputs["calibration"], inputs["schema"]
    _, untried = run(inputs, tmp_path / "untried", QuantizationConfig(scheme="float16"), data="")
    assert report_in(tried)["trial"]["records"] == "calibration"
    assert report_in(tried)["trial"]["num_records"] == 50
    assert report_in(untried)["trial"]["records"] == "random"
    assert report_in(untried)["provenance"]["calibration_digest"] is None
    assert len(read_tflite(tried)) == len(read_tflite(untried))


@pytest.mark.parametrize(
    ("target", "priority", "keys", "scheme"),
    [
        ("edgetpu", "size", {"model", "calibration", "schema"}, "int8"),
        ("gpu", "latency", {"model"}, "float16"),
    ],
)
def test_auto_is_decided_by_the_data_that_there_are(target, priority, keys, scheme, inputs, tmp_path):
    config = QuantizationConfig(scheme="auto", wishes=Wishes(target=target, priority=priority))
    given = {key: inputs[key] for key in keys}
    quantized, folder = run(given, tmp_path, config, data=LABEL if "schema" in keys else "")
    assert quantized.get_string_custom_property(metadata_keys.SCHEME) == scheme
    report = report_in(folder)
    assert (report["scheme"], report["advice"]["scheme"]) == (scheme, scheme)
    (taken,) = TFLiteModel(read_tflite(folder), scheme).inputs.values()
    assert taken["shape_signature"][0] == (1 if target == "edgetpu" else -1)


def test_auto_without_the_data_that_the_target_needs_leaves_nothing(inputs, tmp_path):
    config = QuantizationConfig(scheme="auto", wishes=Wishes(target="micro"))
    with pytest.raises(ConfigError, match="target='micro' without any records"):
        run({"model": inputs["model"]}, tmp_path, config, data="")
    assert not (tmp_path / "quantized").exists()


@pytest.mark.slow
def test_auto_trains_where_accuracy_matters_most_and_there_are_labels(tmp_path):
    specimen = zoo.cnn()
    inputs = specimen_artifacts(specimen, tmp_path)
    records = tmp_path / "calibration" / file_names.CALIBRATION_RECORDS
    records.parent.mkdir()
    shutil.copy(tmp_path / "examples" / "Split-train" / "data-00000-of-00001.gz", records)
    inputs["calibration"] = [output(CalibrationDataset, records.parent)]
    config = QuantizationConfig(
        scheme="auto", wishes=Wishes(target="micro", priority="accuracy"), qat=QatConfig(epochs=1, batch_size=16)
    )
    model = run_executor(QuantizerExecutor, "quantized_model", inputs, tmp_path, config, specimen_data(specimen))
    assert model.get_string_custom_property(metadata_keys.TRAINING) == "qat"
    report = report_in(tmp_path / "quantized_model")
    assert (report["training"], report["advice"]["training"]) == ("qat", "qat")
    assert report["provenance"]["training_digest"].startswith("sha256:")


@pytest.mark.slow
def test_layers_are_kept_until_the_goal_is_met_and_every_file_is_told(inputs, tmp_path, wide):
    inputs["model"] = [model_artifact(tmp_path / "wide", wide)]
    config = QuantizationConfig(scheme="int8", selective=SelectiveConfig(min_agreement=0.97))
    with listening() as told:
        quantized, folder = run(inputs, tmp_path, config)
    report = report_in(folder)
    assert report["selective"]["meets_goal"]
    assert report["selective"]["attempts"][0]["outputs"]["scores"]["agreement"] < 0.9
    assert quantized.get_int_custom_property(metadata_keys.MEETS_GOAL) == 1
    kept = quantized.get_string_custom_property(metadata_keys.KEPT_OPERATIONS)
    assert kept == ", ".join(report["selective"]["kept"])
    assert "conv" in kept
    assert float(quantized.get_string_custom_property(metadata_keys.AGREEMENT)) >= 0.97
    assert {node for node, _ in told} == {"Quantizer"}
    lines = [f"int8 with {len(attempt['kept'])} operation(s) in float32" for attempt in report["selective"]["attempts"]]
    assert [text for _, text in told] == [*lines, *report["findings"]]
    assert {op.op for op in operations(read_tflite(folder)) if op.output_dtype == "float32"} >= {"CONV_2D"}


def test_a_file_that_can_not_run_leaves_nothing(tmp_path):
    ids = tf_keras.layers.Input((3,), dtype="int32", name="ids")
    beyond = tf_keras.layers.Lambda(lambda index: tf.gather(tf.ones((20, 4)), index + 1_000_000), name="beyond")(ids)
    model = tf_keras.Model(ids, tf_keras.layers.Dense(1, name="one")(beyond), name="lost")
    inputs = {"model": [model_artifact(tmp_path / "model", model)]}
    with pytest.raises(ModelError, match=r"lost failed while it ran: .*, at GATHER \("):
        run(inputs, tmp_path, QuantizationConfig(scheme="dynamic_range"), data="")
    assert not (tmp_path / "quantized").exists()
    assert not list(tmp_path.glob(".*.partial"))


def test_a_file_that_is_too_slow_leaves_nothing(inputs, tmp_path):
    with pytest.raises(ModelError, match=r"small, which did not finish in 0\.001 s on 50 records"):
        run(inputs, tmp_path, QuantizationConfig(scheme="int8", time_limit_s=0.001))
    assert not (tmp_path / "quantized").exists()


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
    return run_executor(QuantizerExecutor, "quantized_model", inputs, folder, config, specimen_data(specimen))


@pytest.fixture(scope="module")
def autoencoder():
    return zoo.autoencoder()


@pytest.fixture(scope="module")
def clustered(autoencoder, tmp_path_factory):
    """Inputs of a Quantizer with a model that was pruned and then clustered."""
    folder, data = tmp_path_factory.mktemp("clustered"), specimen_data(autoencoder)
    inputs = specimen_artifacts(autoencoder, folder)
    pruning = PruningConfig(target_sparsity=0.5, epochs=1, batch_size=16)
    inputs["model"] = [run_executor(PrunerExecutor, "pruned_model", inputs, folder, pruning, data)]
    clustering = ClusteringConfig(num_clusters=8, epochs=1, batch_size=16)
    inputs["model"] = [run_executor(ClustererExecutor, "clustered_model", inputs, folder, clustering, data)]
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
    assert recorded(metadata_keys.SPARSITY) == repr(content["file"]["sparsity"])
    assert recorded(metadata_keys.SPARSITY_BEFORE) == "0.5"
    assert model.get_int_custom_property(metadata_keys.MAX_DISTINCT_PER_CHANNEL) <= 8
    assert (recorded(metadata_keys.TRAINING), recorded(metadata_keys.COLLABORATION)) == ("qat", "pcqat")
    assert recorded(metadata_keys.GAINS_DIGEST) == file_digest(tmp_path / "quantized_model" / file_names.GAINS)
    assert recorded(metadata_keys.SOURCE_DIGEST) == clustered["model"][0].get_string_custom_property(
        metadata_keys.CONTENT_DIGEST
    )
    assert (recorded(metadata_keys.LOST_GAINS), content["lost"]) == ("", [])
    findings = report_in(tmp_path / "quantized_model")["findings"]
    assert [(node, text.split(",")[0]) for node, text in told[:2]] == [
        ("quantized_model", "epoch 1/2"),
        ("quantized_model", "epoch 2/2"),
    ]
    measured = [text.split(":")[0] for _, text in told[2:4]]
    assert measured == ["on the training part", "on the held part"]
    assert [each["part"] for each in content["training"]["evaluations"]] == ["training", "held"]
    assert recorded("held_loss_after") == repr(content["training"]["evaluations"][1]["after"]["loss"])
    assert told[4:] == [("quantized_model", finding) for finding in findings]
    assert event_files(tmp_path, "quantized_model")


@pytest.mark.slow
def test_gains_that_the_training_loses_are_on_record_or_leave_no_model(autoencoder, clustered, tmp_path):
    model = quantize(clustered, tmp_path, autoencoder, collaboration="plain", learning_rate=1e-2)
    lost = gains(tmp_path / "quantized_model")["lost"]
    assert "encode/kernel had 50.0% zeros after clustering, and has " in lost[0]
    assert model.get_string_custom_property(metadata_keys.LOST_GAINS) == "; ".join(lost)
    config = QuantizationConfig(
        scheme="int8",
        training="qat",
        qat=QatConfig(epochs=1, batch_size=16, collaboration="plain", learning_rate=1e-2),
        on_lost_gain="error",
    )
    with pytest.raises(ModelError, match=r"% in the int8 file"):
        run_executor(
            QuantizerExecutor, "quantized_model", clustered, tmp_path / "b", config, specimen_data(autoencoder)
        )
    assert not (tmp_path / "b" / "quantized_model").exists()
    assert not list((tmp_path / "b").glob(".*.partial"))


@pytest.mark.slow
def test_calibration_makes_integers_of_layers_that_can_not_be_trained(tmp_path):
    specimen = zoo.conv1d()
    inputs = specimen_artifacts(specimen, tmp_path)
    records = tmp_path / "calibration" / file_names.CALIBRATION_RECORDS
    records.parent.mkdir()
    shutil.copy(tmp_path / "examples" / "Split-train" / "data-00000-of-00001.gz", records)
    partly = quantize(inputs, tmp_path / "partly", specimen)
    inputs["calibration"] = [output(CalibrationDataset, records.parent)]
    fully = quantize(inputs, tmp_path / "fully", specimen)
    assert "CONV_2D" in float_operations(read_tflite(Path(partly.uri)))
    assert float_operations(read_tflite(Path(fully.uri))) == ()
    assert fully.get_string_custom_property(metadata_keys.COLLABORATION) == "plain"


@pytest.mark.parametrize("scheme", ["float32", "float16"])
def test_conversion_alone_keeps_the_gains_and_records_no_training(clustered, tmp_path, scheme):
    quantized = output(standard_artifacts.Model, tmp_path / "quantized")
    properties = {"config": QuantizationConfig(scheme=scheme, on_lost_gain="error").to_json(), "data": ""}
    inputs = {"model": clustered["model"]}
    QuantizerExecutor().Do(inputs, {"quantized_model": [quantized], "model_run": []}, properties)
    content = gains(tmp_path / "quantized")
    assert [tensor["num_zeros"] for tensor in content["file"]["tensors"]] == [128, 128]
    assert quantized.get_string_custom_property(metadata_keys.SPARSITY) == "0.5"
    assert not quantized.has_custom_property(metadata_keys.TRAINING)
