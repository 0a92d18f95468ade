"""A translated model trains as Keras 3 itself trains the original: the same losses, step by step."""

import keras
import numpy as np
import pytest
import tf_keras

from slimline.core.internals.keras2 import compile_arguments
from slimline.core.models.keras3 import to_tf_keras
from slimline.core.models.keras3_compiling import not_carried_over
from slimline.core.optimization.training import compile_like
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.errors import ConfigError

L = keras.layers
X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
LABELS = {"logit": (X[:, :1] > 0).astype(np.float32), "price": X[:, 1:2] * 1000}


def two_heads(*, as_dict: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    given = L.Input((4,), name="given")
    hidden = L.Dense(8, activation="relu")(given)
    # The keys sort the other way round than the layers' names.
    logit, price = L.Dense(1, name="logit")(hidden), L.Dense(1, name="price")(hidden)
    return keras.Model(given, {"z": logit, "a": price} if as_dict else [logit, price])


def losses_while_training(model, labels):
    return [float(model.train_on_batch(X, labels, return_dict=True)["loss"]) for _ in range(6)]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.5),
        lambda: keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True, global_clipnorm=0.01),
        lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.3), beta_1=0.5),
    ],
)
def test_a_translated_model_trains_as_the_original(optimizer):
    model = two_heads()
    model.compile(
        optimizer(),
        {"logit": keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), "price": "huber"},
        loss_weights={"logit": 5.0, "price": 0.001},
    )
    translated = to_tf_keras(model)
    assert not not_carried_over(translated)
    labels = [LABELS["logit"], LABELS["price"]]
    wanted = losses_while_training(model, labels)
    np.testing.assert_allclose(losses_while_training(translated, labels), wanted, rtol=1e-3)


def test_settings_of_named_outputs_follow_their_outputs():
    model = two_heads(as_dict=True)
    model.compile(
        "sgd",
        {"z": "binary_crossentropy", "a": keras.losses.MeanAbsoluteError()},
        loss_weights={"z": 3.0, "a": 1e-3},
        metrics={"z": [keras.metrics.BinaryAccuracy(threshold=0.0), "mae"], "a": ["mse"]},
        weighted_metrics={"a": ["mape"]},
    )
    arguments = compile_arguments(to_tf_keras(model))
    assert arguments["loss_weights"] == {"logit": 3.0, "price": 1e-3}
    assert isinstance(arguments["loss"]["price"], tf_keras.losses.MeanAbsoluteError)
    assert [type(metric).__name__ for metric in arguments["metrics"]["logit"]][:1] == ["BinaryAccuracy"]
    assert arguments["metrics"]["logit"][0].get_config()["threshold"] == 0.0
    assert set(arguments["weighted_metrics"]) == {"price"}


def mean_squared_error(labels, scores):
    """Not Keras' own, in spite of its name."""
    return keras.ops.mean(abs(labels - scores) ** 3)


class OwnMetric(keras.metrics.Mean):
    pass


@pytest.mark.parametrize(
    ("settings", "named", "way_out"),
    [
        ({"loss": mean_squared_error}, "loss mean_squared_error", {"loss": "mse"}),
        ({"optimizer": keras.optimizers.Muon(1e-3)}, "optimizer Muon", {"optimizer": "sgd"}),
        (
            {"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=4)},
            "optimizer SGD with gradient_accumulation_steps=4",
            {"optimizer": "sgd"},
        ),
        ({"metrics": [OwnMetric()]}, "metrics OwnMetric", {"metrics": ("mae",)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_tf_keras_lacks_is_refused_by_name_when_it_is_trained(settings, named, way_out):
    given = L.Input((4,), name="given")
    model = keras.Model(given, L.Dense(1)(given))
    model.compile(**{"optimizer": "adam", "loss": "mse", **settings})
    translated = to_tf_keras(model)
    with pytest.raises(ConfigError, match=named):
        compile_like(translated, translated, FineTuningConfig())
    compile_like(translated, translated, FineTuningConfig(**way_out))
