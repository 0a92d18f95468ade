import pytest
from tfx.types import standard_artifacts

from slimline import ExamplesConfig, PruningConfig, names
from slimline.core.digest import model_digest
from slimline.core.intake import load_keras_model
from slimline.core.weights import count_kernels, sparsity
from slimline.errors import ExamplesError, ModelError
from slimline.pruner.executor import PrunerExecutor
from tests.artifacts import examples_artifact, model_artifact, output, schema_artifact
from tests.conftest import write_records

CONFIG = PruningConfig(target_sparsity=0.8, epochs=1)


@pytest.fixture
def inputs(tmp_path, trained, examples_folder):
    return {
        "model": [model_artifact(tmp_path / "model", trained)],
        "examples": [examples_artifact(examples_folder)],
        "schema": [schema_artifact(tmp_path / "schema")],
    }


def prune(inputs, folder, config=CONFIG, label_key="digit"):
    pruned = output(standard_artifacts.Model, folder)
    run = output(standard_artifacts.ModelRun, folder.with_name("run"))
    properties = {"config": config.to_json(), "data": ExamplesConfig(label_key=label_key).to_json()}
    PrunerExecutor().Do(inputs, {"pruned_model": [pruned], "model_run": [run]}, properties)
    return pruned


@pytest.mark.slow
def test_writes_a_sparse_model_and_records_where_it_came_from(inputs, tmp_path):
    pruned = prune(inputs, tmp_path / "pruned")
    measured = sparsity(count_kernels(load_keras_model(tmp_path / "pruned")))
    assert measured == pytest.approx(0.8, abs=0.01)
    assert float(pruned.get_string_custom_property(names.SPARSITY)) == measured
    assert pruned.get_string_custom_property(names.CONTENT_DIGEST) == model_digest(tmp_path / "pruned")
    assert pruned.get_string_custom_property(names.SOURCE_DIGEST) == model_digest(tmp_path / "model")


def test_a_label_that_is_not_in_the_schema_is_refused_with_the_near_miss(inputs, tmp_path):
    with pytest.raises(ExamplesError, match="Did you mean 'digit'"):
        prune(inputs, tmp_path / "pruned", label_key="digits")
    assert not (tmp_path / "pruned").exists()


def test_a_folder_without_a_model_is_refused(inputs, tmp_path):
    (tmp_path / "empty" / "Format-Serving").mkdir(parents=True)
    inputs["model"] = [model_artifact(tmp_path / "empty")]
    with pytest.raises(ModelError, match="holds nothing"):
        prune(inputs, tmp_path / "pruned")


def test_a_split_that_is_not_there_is_refused_with_those_that_are(inputs, tmp_path):
    with pytest.raises(ExamplesError, match="one of train, eval"):
        prune(inputs, tmp_path / "pruned", CONFIG.model_copy(update={"split": "trian"}))


def test_another_payload_format_is_refused(inputs, tmp_path):
    inputs["examples"][0].set_string_custom_property("payload_format", "FORMAT_PARQUET")
    with pytest.raises(ExamplesError, match="FORMAT_PARQUET"):
        prune(inputs, tmp_path / "pruned")


def test_a_broken_record_is_found_before_any_training_and_leaves_nothing(inputs, tmp_path):
    file = write_records(tmp_path / "examples" / "Split-train" / "data.tfrecord", [b"record"], compressed=False)
    content = bytearray(file.read_bytes())
    content[14] ^= 1
    file.write_bytes(content)
    inputs["examples"] = [examples_artifact(tmp_path / "examples", ("train",))]
    with pytest.raises(ExamplesError, match=r"record 0 of .*data\.tfrecord is broken"):
        prune(inputs, tmp_path / "pruned")
    assert not (tmp_path / "pruned").exists()
    assert not list(tmp_path.glob(".*.partial"))
