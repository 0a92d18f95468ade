"""How a model in training is compiled: with the loss, the metrics and the optimizer of the model it was made from."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models.rebuilding import rebuild
from slimline.core.optimization.training import compile_like
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.errors import ConfigError
from tests import zoo
from tests.zoo import NUM_EXAMPLES

KERAS = tf_keras.optimizers
# Outputs of `tabular`, in their order.
NAMES = ("price", "interests")


def compiled(specimen, **options):
    # As TFMOT makes copies: the layers, and so the outputs, have other names.
    copy = rebuild(specimen.model, prefix="other_")
    compile_like(copy, specimen.model, FineTuningConfig(**options))
    return copy


def losses(model, specimen):
    """Returns the values that a compiled copy of `tabular` reports for all examples, by name."""
    labels = tuple(specimen.labels[name] for name in NAMES)
    return model.evaluate(dict(specimen.inputs), labels, batch_size=NUM_EXAMPLES, verbose=0, return_dict=True)


@pytest.fixture
def tabular():
    return zoo.tabular()


def test_the_loss_is_that_which_the_model_was_compiled_with(tabular):
    loss = {"interests": "binary_crossentropy", "price": "mae"}
    tabular.model.compile("adam", loss, loss_weights={"interests": 3.0, "price": 0.5})
    given = losses(compiled(tabular), tabular)
    price, interests = tabular.model.predict(dict(tabular.inputs), verbose=0)
    wanted, labels = tabular.labels["price"], tabular.labels["interests"]
    cross_entropy = -np.mean(labels * np.log(interests) + (1 - labels) * np.log(1 - interests))
    assert given["other_price_loss"] == pytest.approx(np.mean(np.abs(price - wanted)), rel=1e-4)
    assert given["other_interests_loss"] == pytest.approx(cross_entropy, rel=1e-4)
    assert given["loss"] == pytest.approx(3 * given["other_interests_loss"] + given["other_price_loss"] / 2, rel=1e-4)


@pytest.mark.parametrize("loss", ["mae", {"interests": "mae", "price": "mse"}], ids=["one", "by output"])
def test_a_loss_of_the_configuration_goes_before(tabular, loss):
    tabular.model.compile("adam", "mse", loss_weights=[5.0, 7.0])
    given = losses(compiled(tabular, loss=loss), tabular)["loss"]
    outputs = tabular.model.predict(dict(tabular.inputs), verbose=0)
    price, interests = (out - tabular.labels[name] for name, out in zip(NAMES, outputs, strict=True))
    of_price = np.mean(np.abs(price) if loss == "mae" else price**2)
    assert given == pytest.approx(of_price + np.mean(np.abs(interests)), rel=1e-4)


@pytest.mark.parametrize("name", ["folder", "model.keras", "model.h5"])
def test_a_model_that_was_saved_is_compiled_as_it_was(tabular, tmp_path, name):
    metrics = {"price": ["mae"], "interests": [tf_keras.metrics.AUC(name="area")]}
    tabular.model.compile(KERAS.SGD(0.5, momentum=0.25), tabular.model.loss, metrics=metrics, loss_weights=[2.0, 1.0])
    tabular.model.save(tmp_path / name)
    loaded = zoo.Specimen(tf_keras.models.load_model(tmp_path / name), tabular.inputs, tabular.labels)
    fresh, restored = compiled(tabular), compiled(loaded)
    assert losses(restored, tabular) == losses(fresh, tabular)
    assert sum(key.endswith(("mae", "area")) for key in losses(fresh, tabular)) == 2
    assert restored.optimizer.get_config() == fresh.optimizer.get_config()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": {"price": "mse", "interest": "mse"}}, "which differ from the outputs in interest, interests"),
        ({"loss": {"price": "mse"}}, "a loss for each of price, interests"),
        ({"loss": "mean"}, "loss='mean'"),
        ({"optimizer": "atom"}, "optimizer='atom'"),
    ],
)
def test_names_that_keras_or_the_model_do_not_know_are_refused(tabular, options, message):
    with pytest.raises(ConfigError, match=message):
        compiled(tabular, **options)


@pytest.mark.parametrize(
    ("given", "option", "expected"),
    [
        (KERAS.SGD(0.5, momentum=0.25), None, KERAS.SGD(1e-3, momentum=0.25)),
        (KERAS.AdamW(0.5, weight_decay=0.1), None, KERAS.AdamW(1e-3, weight_decay=0.1)),
        (KERAS.Adam(KERAS.schedules.ExponentialDecay(0.5, 10, 0.9), beta_1=0.8), None, KERAS.Adam(1e-3, beta_1=0.8)),
        (KERAS.legacy.SGD(0.5, momentum=0.25), None, KERAS.legacy.SGD(1e-3, momentum=0.25)),
        (KERAS.SGD(0.5, momentum=0.25), "RMSprop", KERAS.RMSprop(1e-3)),
        (None, None, KERAS.Adam(1e-3)),
    ],
    ids=["sgd", "adamw", "schedule", "legacy", "by name", "none"],
)
def test_the_optimizer_is_of_the_kind_compiled_with_and_the_rate_is_the_configurations(given, option, expected):
    specimen = zoo.autoencoder()
    if given is None:
        specimen = zoo.Specimen(rebuild(specimen.model), specimen.inputs, specimen.labels)
    else:
        specimen.model.compile(given, "mse")
    before = given and given.get_config()
    optimizer = compiled(specimen, optimizer=option, learning_rate=1e-3, loss="mse").optimizer
    assert type(optimizer) is type(expected)
    assert optimizer.get_config() == expected.get_config()
    assert optimizer is not given
    assert before == (given and given.get_config())


def test_metrics_start_afresh_and_leave_those_of_the_model_alone(tabular):
    metric = tf_keras.metrics.MeanAbsoluteError(name="error")
    tabular.model.compile("adam", tabular.model.loss, metrics={"price": metric})
    losses(tabular.model, tabular)
    seen = metric.result().numpy()
    copy = compiled(tabular)
    fresh, *_ = tf.nest.flatten(copy._get_compile_args()["metrics"])
    assert (fresh.result().numpy(), metric.result().numpy()) == (0, seen)
    losses(copy, tabular)
    assert (fresh.result().numpy(), metric.result().numpy()) == (pytest.approx(seen), seen)


def test_metrics_of_the_configuration_go_before():
    specimen = zoo.autoencoder()
    specimen.model.compile("adam", "mse", metrics=["mae"])
    values = compiled(specimen, metrics=("cosine_similarity",)).evaluate(
        dict(specimen.inputs), specimen.labels, verbose=0, return_dict=True
    )
    assert list(values) == ["loss", "cosine_similarity"]
