import json

import pytest
import tf_keras

from slimline.cli.exit_codes import BAD_INPUT, NOT_GOOD_ENOUGH, OK
from slimline.core.models.loading import load_keras_model
from slimline.core.models.weights import count_kernels
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ExamplesError, ModelError
from tests.slimline.cli.test_app import slimline

QUICK = ("--epochs", "1", "--batch-size", "64", "--label-key", "digit")


@pytest.fixture(scope="module")
def splits(examples_folder):
    return ("--examples", examples_folder / "Split-train", "--held", examples_folder / "Split-eval")


@pytest.fixture
def accuracy(digits):
    """Returns the share of right decisions on all digits, by Keras alone."""
    images, labels = digits

    def measure(model):
        return float((model.predict(images, verbose=0).argmax(1) == labels).mean())

    return measure


def test_a_model_is_pruned_and_the_next_command_takes_it(call, model_folder, splits, accuracy, tmp_path):
    done = call(
        "prune", model_folder, "-o", tmp_path / "pruned", *splits, *QUICK,
        "--target-sparsity", "0.75", "--rule", "scores=0", "--learning-rate", "1e-3", "--json",
    )  # fmt: skip
    assert done.exit_code == OK
    told = json.loads(done.stdout)
    pruned = load_keras_model(tmp_path / "pruned")
    zeros = {count.layer: count.num_zeros / count.num_weights for count in count_kernels(pruned)}
    assert zeros.pop("scores") < 0.1
    assert all(share == pytest.approx(0.75, abs=0.02) for share in zeros.values())
    assert [each["part"] for each in told["evaluations"]] == ["training", "held"]
    assert accuracy(pruned) > 0.6
    done = call("cluster", tmp_path / "pruned", "-o", tmp_path / "clustered", *splits, *QUICK, "--num-clusters", "8")
    assert done.exit_code == OK
    clustered = count_kernels(load_keras_model(tmp_path / "clustered"))
    assert max(count.num_distinct for count in clustered) <= 8
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["examples", "metric", "before", "after"] in lines
    assert {tuple(line[:2]) for line in lines if line[:1] == ["held"]} >= {("held", "loss")}
    stages = json.loads((tmp_path / "clustered" / "gains.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["original", "pruning", "clustering"]


def test_a_model_is_trained_to_be_quantized(call, model_folder, splits, tmp_path):
    calibration = ("--calibration", splits[1])
    done = call("train", model_folder, "-o", tmp_path / "small", *splits, *QUICK, *calibration, "--json")
    assert done.exit_code == OK
    told = json.loads(done.stdout)
    assert told["training"] == "qat"
    assert told["harm"] is None
    assert list(TFLiteModel((tmp_path / "small" / "Format-Serving" / "tflite").read_bytes(), "small").inputs)


def test_a_loss_over_its_limit_is_told_by_the_exit_code(call, model_folder, splits, tmp_path):
    harmful = ("--target-sparsity", "0.95", "--max-loss-increase", "0")
    done = call("prune", model_folder, "-o", tmp_path / "a", *splits, *QUICK, *harmful)
    assert done.exit_code == NOT_GOOD_ENOUGH
    assert "worse: the loss rose by" in done.stdout
    with pytest.raises(ModelError, match="the loss rose by"):
        call("prune", model_folder, "-o", tmp_path / "b", *splits, *QUICK, *harmful, "--on-harm", "error")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--rule", "scores=many"], ConfigError, "--rule scores=many"),
        (["--target-sparsity", "1.5"], ConfigError, "target_sparsity"),
        (["--label-key", "digt"], ExamplesError, "Did you mean 'digit'"),
        (["--config", "nowhere.json"], ConfigError, "options of PruningConfig"),
        (["--rule", "score=0.5"], ConfigError, "Did you mean 'scores'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    options, error, message, call, model_folder, splits, tmp_path
):
    with pytest.raises(error, match=message):
        call("prune", model_folder, "-o", tmp_path / "out", *splits, *QUICK, *options)
    assert not list(tmp_path.iterdir())


def test_what_is_trained_on_can_not_be_held(call, model_folder, splits, tmp_path):
    with pytest.raises(ConfigError, match="which --examples has too"):
        call("cluster", model_folder, "-o", tmp_path / "out", *splits[:2], "--held", splits[1], *QUICK)


def test_options_of_the_command_line_go_over_those_of_the_file(call, model_folder, splits, tmp_path):
    (tmp_path / "options.json").write_text(json.dumps({"target_sparsity": 0.9, "scope": "model", "epochs": 1}))
    done = call(
        "prune", model_folder, "-o", tmp_path / "out", *splits, *QUICK, "--config", tmp_path / "options.json",
        "--target-sparsity", "0.4", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["sparsity"] == pytest.approx(0.4, abs=0.02)
    assert isinstance(load_keras_model(tmp_path / "out"), tf_keras.Model)


@pytest.mark.slow
def test_each_epoch_is_told_beside_the_output(model_folder, splits, tmp_path):
    given = [str(part) for part in (model_folder, "-o", tmp_path / "out", *splits, *QUICK)]
    done = slimline("prune", *given, "--json")
    assert done.returncode == OK, done.stderr
    assert json.loads(done.stdout)["technique"] == "pruning"
    assert "epoch 1/1, loss " in done.stderr
    refused = slimline("prune", *given)
    assert refused.returncode == BAD_INPUT
    assert "which is there already" in refused.stderr
