from pathlib import Path

import numpy as np
import pytest
from tfx.types import standard_artifacts

from slimline import ClusteringConfig, ExamplesConfig, PruningConfig
from slimline.clusterer.executor import ClustererExecutor
from slimline.core.digest import file_digest, model_digest
from slimline.core.models.loading import load_keras_model
from slimline.core.models.weights import count_kernels
from slimline.errors import ModelError
from slimline.names import file_names, metadata_keys
from slimline.pruner.executor import PrunerExecutor
from tests import zoo
from tests.artifacts import (
    examples_artifact,
    model_artifact,
    output,
    schema_artifact,
    specimen_artifacts,
    specimen_data,
)
from tests.executors import event_files, gains, listening, run_executor

CLUSTERING = ClusteringConfig(num_clusters=8, epochs=2, batch_size=16)


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
    assert clustered.get_int_custom_property(metadata_keys.MAX_DISTINCT_WEIGHTS) <= 8


@pytest.fixture(scope="module")
def specimen():
    return zoo.tabular()


@pytest.fixture(scope="module")
def pruned(specimen, tmp_path_factory):
    """Inputs of a Clusterer with a pruned model of two outputs."""
    folder = tmp_path_factory.mktemp("pruned")
    inputs = specimen_artifacts(specimen, folder)
    config = PruningConfig(target_sparsity=0.5, epochs=1, batch_size=16)
    model = run_executor(PrunerExecutor, "pruned_model", inputs, folder, config, specimen_data(specimen))
    return {**inputs, "model": [model]}


@pytest.mark.slow
def test_a_pruned_model_of_two_outputs_keeps_its_zeros(specimen, pruned, tmp_path):
    with listening() as told:
        model = run_executor(
            ClustererExecutor, "clustered_model", pruned, tmp_path, CLUSTERING, specimen_data(specimen)
        )
    before, after = (load_keras_model(Path(artifact.uri)) for artifact in (pruned["model"][0], model))
    for layer in ("dense", "price", "interests"):
        was_zero, is_zero = (loaded.get_layer(layer).get_weights()[0] == 0 for loaded in (before, after))
        assert np.array_equal(was_zero, is_zero & was_zero)
    content = gains(tmp_path / "clustered_model")
    assert [stage["name"] for stage in content["stages"]] == ["original", "pruning", "clustering"]
    assert [stage["sparsity"] > 0.4 for stage in content["stages"]] == [False, True, True]
    recorded = model.get_string_custom_property
    assert recorded(metadata_keys.GAINS_DIGEST) == file_digest(tmp_path / "clustered_model" / file_names.GAINS)
    assert recorded(metadata_keys.SPARSITY_BEFORE) == pruned["model"][0].get_string_custom_property(
        metadata_keys.SPARSITY
    )
    assert recorded(metadata_keys.SOURCE_DIGEST) == pruned["model"][0].get_string_custom_property(
        metadata_keys.CONTENT_DIGEST
    )
    assert recorded(metadata_keys.CONTENT_DIGEST) == model_digest(tmp_path / "clustered_model")
    assert recorded(metadata_keys.LOST_GAINS) == ""
    assert {node for node, _ in told} == {"clustered_model"}
    assert [text.split(",")[0] for _, text in told if text.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert any(text.startswith("on the training part: loss") for _, text in told)
    assert event_files(tmp_path, "clustered_model")


@pytest.mark.slow
def test_lost_zeros_leave_no_model_when_they_are_to_fail(specimen, pruned, tmp_path):
    config = CLUSTERING.model_copy(update={"keep_zeros": False, "on_lost_gain": "error"})
    with pytest.raises(ModelError, match=r"dense/kernel had \d\d\.\d% zeros after pruning, and has 0\.0%"):
        run_executor(ClustererExecutor, "clustered_model", pruned, tmp_path, config, specimen_data(specimen))
    assert not (tmp_path / "clustered_model").exists()
    assert not list(tmp_path.glob(".*.partial"))
