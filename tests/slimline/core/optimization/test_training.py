import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models.rebuilding import rebuild
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.training import Watch, fine_tune, num_steps
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.errors import ConfigError, ModelError
from tests import zoo
from tests.zoo import NUM_EXAMPLES

KERAS = tf_keras.optimizers
TECHNIQUES = [(prune, PruningConfig), (cluster, ClusteringConfig), (train_quantization_aware, QatConfig)]
TRAIN_FN = """
import tf_keras

def fit(model, dataset, epochs, callbacks):
    model.fit(dataset, epochs=epochs, callbacks=callbacks, verbose=0)

def loop(model, dataset, epochs, callbacks):
    told = tf_keras.callbacks.CallbackList(callbacks, model=model)
    told.on_train_begin()
    for epoch in range(epochs):
        told.on_epoch_begin(epoch)
        for step, (inputs, labels) in enumerate(dataset):
            told.on_train_batch_begin(step)
            logs = model.train_on_batch(inputs, labels, return_dict=True)
            told.on_train_batch_end(step, logs)
        told.on_epoch_end(epoch, logs)
    told.on_train_end()

def drop(model, dataset, epochs, callbacks):
    model.fit(dataset, epochs=epochs, verbose=0)

def nothing(model, dataset, epochs, callbacks):
    pass
"""


def copy_of(specimen):
    """As TFMOT makes copies: the layers, and so the outputs, have other names."""
    return rebuild(specimen.model, prefix="other_")


def tune(specimen, config, **options):
    """Returns the copy of a model that was fine-tuned."""
    copy = copy_of(specimen)
    steps = num_steps(NUM_EXAMPLES, config)
    fine_tune(copy, specimen.model, specimen.dataset(config.batch_size), config, steps=steps, **options)
    return copy


@pytest.mark.parametrize(("batch_size", "epochs"), [(1, 1), (5, 1), (16, 3), (47, 2), (48, 2)])
def test_steps_are_the_batches_of_all_epochs(batch_size, epochs):
    batches = list(tf.data.Dataset.range(48).batch(batch_size)) * epochs
    assert num_steps(48, FineTuningConfig(batch_size=batch_size, epochs=epochs)) == len(batches)


@pytest.mark.parametrize("kind", [zoo.sequential, zoo.autoencoder, zoo.tabular])
def test_fine_tuning_is_what_one_would_write_by_hand(kind):
    """Classification, an autoencoder, and a regression with a multi-label classification beside it."""
    specimen = kind()
    specimen.model.compile(KERAS.SGD(1.0, momentum=0.5), specimen.model.loss)
    by_hand = copy_of(specimen)
    names = specimen.model.output_names
    loss = specimen.model.loss
    by_hand.compile(KERAS.SGD(1e-2, momentum=0.5), [loss[name] for name in names] if len(names) > 1 else loss)
    labels = tuple(specimen.labels[name] for name in names) if len(names) > 1 else specimen.labels
    by_hand.fit(zoo.Specimen(None, specimen.inputs, labels).dataset(20), epochs=2, verbose=0)
    tuned = tune(specimen, FineTuningConfig(batch_size=20, epochs=2, learning_rate=1e-2))
    for ours, theirs, old in zip(*(m.get_weights() for m in (tuned, by_hand, specimen.model)), strict=True):
        assert np.array_equal(ours, theirs)
        assert not np.array_equal(ours, old)


def test_every_epoch_is_told_and_logged(tmp_path):
    lines: list[str] = []
    specimen = zoo.autoencoder()
    config = FineTuningConfig(epochs=3, batch_size=16, metrics=("mae",), learning_rate=1e-2)
    tune(specimen, config, watch=Watch(str(tmp_path), lines.append))
    assert [line.split(", ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    told = [float(line.split("loss ")[1].split(",")[0]) for line in lines]
    assert told == sorted(told, reverse=True)
    assert all("mae 0." in line for line in lines)
    assert list(tmp_path.rglob("events.out.tfevents.*"))


@pytest.fixture
def train_fn(tmp_path, monkeypatch):
    """A user's module."""
    (tmp_path / "own_training.py").write_text(TRAIN_FN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("function", ["fit", "loop"])
def test_pruning_reaches_its_target_in_the_users_own_training(train_fn, function):
    lines: list[str] = []
    config = PruningConfig(target_sparsity=0.75, batch_size=16, epochs=2, train_fn=f"own_training.{function}")
    specimen = zoo.autoencoder()
    result = prune(specimen.model, specimen.dataset(), NUM_EXAMPLES, config, watch=Watch(None, lines.append))
    assert [count.num_zeros for count in result.kernels] == [192, 192]
    assert [line.split(",")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]


@pytest.mark.parametrize("function", ["drop", "nothing"])
def test_a_training_that_drops_the_callbacks_gives_no_model(train_fn, function):
    specimen = zoo.autoencoder()
    config = PruningConfig(batch_size=16, epochs=1, train_fn=f"own_training.{function}")
    with pytest.raises(ModelError, match=r"callbacks handed on|hand on the callbacks"):
        prune(specimen.model, specimen.dataset(), NUM_EXAMPLES, config)


def test_the_users_own_training_is_stopped_too_when_it_diverges(train_fn):
    with pytest.raises(ModelError, match="at step 2"):
        tune(zoo.autoencoder(), FineTuningConfig(batch_size=16, learning_rate=1e30, train_fn="own_training.loop"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module.train", "there is no module 'no_such_module'"),
        ("own_training.loops", "Did you mean 'loop'"),
        ("train", "the whole dotted path"),
    ],
)
def test_a_function_that_can_not_be_imported_is_refused(train_fn, path, message):
    with pytest.raises(ConfigError, match=message):
        tune(zoo.autoencoder(), FineTuningConfig(batch_size=16, train_fn=path))


def test_training_stops_at_the_step_at_which_the_loss_is_lost():
    specimen = zoo.autoencoder()
    values = specimen.labels.copy()
    values[40] = np.nan
    broken = zoo.Specimen(specimen.model, specimen.inputs, values)
    with pytest.raises(ModelError, match="a loss of nan at step 3 of fine-tuning"):
        tune(broken, FineTuningConfig(batch_size=16))


def test_weights_that_break_in_the_last_step_are_found():
    specimen = zoo.autoencoder()
    specimen.model.compile("sgd", "mse")
    far = zoo.Specimen(specimen.model, specimen.inputs, specimen.labels * 1e6)
    with pytest.raises(ModelError, match=r"NaN or infinity in other_\w+/\w+:0, .* after 1 epoch"):
        tune(far, FineTuningConfig(batch_size=48, epochs=1, learning_rate=1e38))


@pytest.mark.parametrize(("technique", "config"), TECHNIQUES, ids=lambda value: value.__name__)
def test_every_technique_refuses_what_can_not_be_trained(technique, config):
    specimen = zoo.autoencoder()

    def attempt(model, **options):
        technique(model, specimen.dataset(), NUM_EXAMPLES, config(**{"batch_size": 16, "epochs": 1, **options}))

    with pytest.raises(ConfigError, match="batch_size=49 for 48 example"):
        attempt(specimen.model, batch_size=49)
    with pytest.raises(ConfigError, match="saved without a loss"):
        attempt(rebuild(specimen.model))
    with pytest.raises(ModelError, match=r"a loss of (inf|nan) at step 2 of fine-tuning") as diverged:
        attempt(specimen.model, learning_rate=1e30)
    assert "it was 1e+30" in diverged.value.remedy
    specimen.model.get_layer("decode").bias.assign(np.full(32, np.nan))
    with pytest.raises(ModelError, match="NaN or infinity in the weights decode/bias:0"):
        attempt(specimen.model)
