"""Models as people have them go through the components, one after the other, and come out as a file that runs."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tf_keras
from tfx.types import standard_artifacts

from docs.make_models_table import TABLE, make_table
from slimline import ClusteringConfig, PruningConfig, QatConfig, QuantizationConfig
from slimline.clusterer.executor import ClustererExecutor
from slimline.core.models.loading import load_keras_model
from slimline.core.models.saving import read_tflite
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ModelError
from slimline.names import metadata_keys
from slimline.pruner.executor import PrunerExecutor
from slimline.quantizer.executor import QuantizerExecutor
from tests import zoo
from tests.artifacts import output, specimen_artifacts, specimen_data

pytestmark = pytest.mark.slow

TRAINABLE = {**zoo.PORTABLE, **zoo.TF_KERAS_ONLY}
PRUNING = PruningConfig(target_sparsity=0.6, epochs=1, batch_size=16)
CLUSTERING = ClusteringConfig(num_clusters=8, epochs=1, batch_size=16)
# With few clusters TFMOT keeps them channel by channel, which takes minutes to build for a thousand channels.
MANY_CLUSTERS = ClusteringConfig(num_clusters=64, epochs=1, batch_size=16)
QAT = QuantizationConfig(scheme="int8", training="qat", qat=QatConfig(epochs=1, batch_size=16))


@pytest.fixture(autouse=True)
def _forget_graphs():
    """Keras keeps what it ever built, which makes each later model slower to save."""
    yield
    tf_keras.backend.clear_session()


def run(executor, key, inputs, folder, config, data):
    written = output(standard_artifacts.Model, folder / key)
    log = output(standard_artifacts.ModelRun, folder / f"{key}-run")
    properties = {"config": config.to_json(), "data": data.to_json()}
    executor().Do(inputs, {key: [written], "model_run": [log]}, properties)
    return written


def invoke(folder: Path, specimen) -> dict[str, np.ndarray]:
    return TFLiteModel(read_tflite(folder), "specimen").predict(
        {name: values[:4] for name, values in specimen.inputs.items()}
    )


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_model_is_pruned_clustered_and_trained_to_be_quantized(name, tmp_path):
    specimen = TRAINABLE[name]()
    inputs, data = specimen_artifacts(specimen, tmp_path), specimen_data(specimen)
    pruned = run(PrunerExecutor, "pruned_model", inputs, tmp_path, PRUNING, data)
    clustering = MANY_CLUSTERS if name.startswith("MobileNet") else CLUSTERING
    clustered = run(ClustererExecutor, "clustered_model", {**inputs, "model": [pruned]}, tmp_path, clustering, data)
    quantized = run(QuantizerExecutor, "quantized_model", {**inputs, "model": [clustered]}, tmp_path, QAT, data)
    for stage in (clustered, quantized):
        assert not stage.get_string_custom_property(metadata_keys.LOST_GAINS)
    outputs = invoke(tmp_path / "quantized_model", specimen)
    assert set(outputs) == set(load_keras_model(tmp_path / "model").output_names)
    assert all(np.isfinite(values).all() for values in outputs.values())


@pytest.mark.parametrize("name", zoo.PORTABLE)
def test_the_same_model_of_keras_3_is_pruned_and_quantized(name, tmp_path):
    specimen = zoo.PORTABLE[name](keras)
    inputs, data = specimen_artifacts(specimen, tmp_path), specimen_data(specimen)
    pruned = run(PrunerExecutor, "pruned_model", inputs, tmp_path, PRUNING, data)
    assert float(pruned.get_string_custom_property(metadata_keys.SPARSITY)) > 0.3
    half = QuantizationConfig(scheme="float16")
    written = output(standard_artifacts.Model, tmp_path / "quantized_model")
    outputs = {"quantized_model": [written], "model_run": []}
    QuantizerExecutor().Do({"model": [pruned]}, outputs, {"config": half.to_json(), "data": ""})
    assert all(np.isfinite(values).all() for values in invoke(tmp_path / "quantized_model", specimen).values())


def test_a_lambda_layer_is_refused_with_the_reason_and_nothing_is_written(tmp_path):
    specimen = zoo.lambda_layer()
    inputs, data = specimen_artifacts(specimen, tmp_path), specimen_data(specimen)
    for executor, key, config in (
        (PrunerExecutor, "pruned_model", PRUNING),
        (ClustererExecutor, "clustered_model", CLUSTERING),
        (QuantizerExecutor, "quantized_model", QAT),
    ):
        with pytest.raises(ModelError, match="double is a Lambda layer"):
            run(executor, key, inputs, tmp_path, config, data)
        assert not (tmp_path / key).exists()


def test_the_table_in_the_docs_is_what_the_models_give():
    assert TABLE.read_text() == make_table(), "run: python -m docs.make_models_table"
