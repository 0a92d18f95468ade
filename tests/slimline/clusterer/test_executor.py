import pytest
from tfx.types import standard_artifacts

from slimline import ClusteringConfig, ExamplesConfig, names
from slimline.clusterer.executor import ClustererExecutor
from slimline.core.intake import load_keras_model
from slimline.core.weights import count_kernels
from tests.artifacts import examples_artifact, model_artifact, output, schema_artifact


@pytest.mark.slow
def test_writes_a_model_of_few_distinct_weights(tmp_path, trained, examples_folder):
    inputs = {
        "model": [model_artifact(tmp_path / "model", trained)],
        "examples": [examples_artifact(examples_folder)],
        "schema": [schema_artifact(tmp_path / "schema")],
    }
    clustered = output(standard_artifacts.Model, tmp_path / "clustered")
    run = output(standard_artifacts.ModelRun, tmp_path / "run")
    properties = {
        "config": ClusteringConfig(num_clusters=8, epochs=1).to_json(),
        "data": ExamplesConfig(label_key="digit").to_json(),
    }
    ClustererExecutor().Do(inputs, {"clustered_model": [clustered], "model_run": [run]}, properties)
    kernels = count_kernels(load_keras_model(tmp_path / "clustered"))
    assert {kernel.layer for kernel in kernels} == {"conv", "dense", "scores"}
    assert max(kernel.num_distinct for kernel in kernels) <= 8
    assert clustered.get_int_custom_property(names.MAX_DISTINCT_WEIGHTS) <= 8
