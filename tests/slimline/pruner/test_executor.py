import pytest
from tfx.types import standard_artifacts

from slimline import ExamplesConfig, PruningConfig
from slimline.core.digest import file_digest, model_digest
from slimline.core.models.loading import load_keras_model
from slimline.core.models.weights import count_kernels, sparsity
from slimline.errors import ExamplesError, ModelError
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
from tests.conftest import write_records
from tests.executors import event_files, gains, listening, run_executor

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
    assert float(pruned.get_string_custom_property(metadata_keys.SPARSITY)) == measured
    assert pruned.get_string_custom_property(metadata_keys.CONTENT_DIGEST) == model_digest(tmp_path / "pruned")
    assert pruned.get_string_custom_property(metadata_keys.SOURCE_DIGEST) == model_digest(tmp_path / "model")
    (stage,) = gains(tmp_path / "pruned")["stages"][1:]
    recorded = {
        f"{each['part']}_{name}_{when}": pruned.get_string_custom_property(f"{each['part']}_{name}_{when}")
        for each in stage["evaluations"]
        for when in ("before", "after")
        for name in each[when]
    }
    assert recorded == {
        f"{each['part']}_{name}_{when}": repr(value)
        for each in stage["evaluations"]
        for when in ("before", "after")
        for name, value in each[when].items()
    }
    assert {"training_loss_before", "training_loss_after", "held_loss_before", "held_loss_after"} <= set(recorded)
    assert recorded["training_loss_before"] != recorded["training_loss_after"] != recorded["held_loss_after"]


def test_a_stage_that_does_harm_can_fail_and_leaves_nothing(inputs, tmp_path):
    config = PruningConfig(target_sparsity=0.95, epochs=1, batch_size=64, max_loss_increase=0, on_harm="error")
    with pytest.raises(ModelError, match="on the held part: loss"):
        prune(inputs, tmp_path / "pruned", config)
    assert not (tmp_path / "pruned").exists()


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


@pytest.fixture(scope="module")
def specimen():
    return zoo.autoencoder()


@pytest.fixture(scope="module")
def pruned_twice(specimen, tmp_path_factory):
    """A model that is pruned, and then pruned to fewer zeros: the folder, both models and what was told."""
    folder, data = tmp_path_factory.mktemp("twice"), specimen_data(specimen)
    inputs = specimen_artifacts(specimen, folder)
    config = PruningConfig(target_sparsity=0.75, epochs=2, batch_size=16)
    with listening() as told:
        first = run_executor(PrunerExecutor, "pruned_model", inputs, folder, config, data)
        fewer = config.model_copy(update={"target_sparsity": 0.5, "epochs": 1})
        run_again = {**inputs, "model": [first]}
        second = run_executor(PrunerExecutor, "pruned_model", run_again, folder / "again", fewer, data)
    return folder, (first, second), told


@pytest.mark.slow
def test_the_gains_of_all_stages_stand_beside_the_model(specimen, pruned_twice):
    folder, models, _ = pruned_twice
    first, second = gains(folder / "pruned_model"), gains(folder / "again" / "pruned_model")
    assert [stage["name"] for stage in first["stages"]] == ["original", "pruning"]
    assert [stage["name"] for stage in second["stages"]] == ["original", "pruning", "pruning"]
    assert second["stages"][:2] == first["stages"]
    assert [stage["sparsity"] for stage in second["stages"]] == [0, 0.75, 0.5]
    assert [kernel["num_zeros"] for kernel in first["stages"][1]["kernels"]] == [192, 192]
    for model, content, before in zip(models, (first, second), ("0.0", "0.75"), strict=True):
        recorded = model.get_string_custom_property
        assert recorded(metadata_keys.SPARSITY_BEFORE) == before
        assert recorded(metadata_keys.LOST_GAINS) == "; ".join(content["lost"])
        path = folder / ("pruned_model" if model is models[0] else "again/pruned_model") / file_names.GAINS
        assert recorded(metadata_keys.GAINS_DIGEST) == file_digest(path)


@pytest.mark.slow
def test_zeros_that_are_given_back_are_on_record(pruned_twice):
    _, (first, second), _ = pruned_twice
    assert first.get_string_custom_property(metadata_keys.LOST_GAINS) == ""
    assert second.get_string_custom_property(metadata_keys.LOST_GAINS) == (
        "encode/kernel had 75.0% zeros after pruning, and has 50.0% after pruning; "
        "decode/kernel had 75.0% zeros after pruning, and has 50.0% after pruning"
    )


@pytest.mark.slow
def test_every_epoch_is_told_and_logged(pruned_twice):
    folder, _, told = pruned_twice
    epochs = [(node, text.split(",")[0]) for node, text in told if text.startswith("epoch")]
    assert epochs == [("pruned_model", f"epoch {number}") for number in ("1/2", "2/2", "1/1")]
    assert event_files(folder, "pruned_model")


@pytest.mark.slow
def test_lost_zeros_leave_no_model_when_they_are_to_fail(specimen, pruned_twice, tmp_path):
    _, (first, _), _ = pruned_twice
    inputs = {**specimen_artifacts(specimen, tmp_path), "model": [first]}
    config = PruningConfig(target_sparsity=0.5, epochs=1, batch_size=16, on_lost_gain="error")
    with pytest.raises(ModelError, match=r"encode/kernel had 75\.0% zeros after pruning, and has 50\.0%"):
        run_executor(PrunerExecutor, "pruned_model", inputs, tmp_path, config, specimen_data(specimen))
    assert not (tmp_path / "pruned_model").exists()
    assert not list(tmp_path.glob(".*.partial"))
