"""Loss and metrics of a stage are those that Keras itself gives for the same model and data."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models.rebuilding import rebuild
from slimline.core.optimization.stage_evaluation import Part, StageEvaluation, compare_parts, evaluate_parts, harm
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.errors import ConfigError, ModelError

CONFIG = FineTuningConfig()


@pytest.fixture(scope="module")
def two_heads():
    tf_keras.utils.set_random_seed(0)
    given = tf_keras.Input((4,), name="given")
    hidden = tf_keras.layers.Dense(8, "relu")(given)
    outputs = [
        tf_keras.layers.Dense(1, "sigmoid", name="yes")(hidden),
        tf_keras.layers.Dense(1, name="yes_price")(hidden),
    ]
    model = tf_keras.Model(given, outputs)
    model.compile(
        "adam",
        {"yes": "binary_crossentropy", "yes_price": "mae"},
        loss_weights={"yes": 2.0, "yes_price": 0.1},
        metrics={"yes": "accuracy", "yes_price": "mse"},
    )
    return model


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    labels = {"yes": (x[:, :1] > 0).astype(np.float32), "yes_price": x[:, 1:2] * 100}
    return x, labels


def test_values_are_those_of_keras_under_the_originals_names(two_heads, data):
    x, labels = data
    dataset = tf.data.Dataset.from_tensor_slices(({"given": x}, labels)).batch(16)
    copy = rebuild(two_heads, prefix="other_")
    parts: dict[Part, tf.data.Dataset] = {"training": dataset, "held": dataset.take(1)}
    measured = evaluate_parts(copy, two_heads, parts, CONFIG)
    rows_of: dict[Part, slice] = {"training": slice(None), "held": slice(16)}
    for part, rows in rows_of.items():
        wanted = two_heads.evaluate(
            x[rows], {name: values[rows] for name, values in labels.items()}, batch_size=16, verbose=0, return_dict=True
        )
        assert measured[part] == pytest.approx(wanted, rel=1e-5)
    assert not copy._is_compiled


def pair(part, before, after):
    return StageEvaluation(part, {"loss": before}, {"loss": after})


def test_parts_are_paired():
    assert compare_parts({"held": {"loss": 1.0}}, {"held": {"loss": 3.0}}) == (pair("held", 1.0, 3.0),)
    assert pair("held", 1.0, 3.0).loss_increase == 2.0
    assert pair("held", 1.0, 3.0).describe() == "on the held part: loss 1 -> 3"


@pytest.mark.parametrize(
    ("evaluations", "limit", "is_harm"),
    [
        ([pair("training", 1.0, 5.0)], None, False),
        ([pair("training", 1.0, 1.5)], 0.5, False),
        ([pair("training", 1.0, 1.75)], 0.5, True),
        ([pair("training", 1.0, 0.1), pair("held", 1.0, 1.75)], 0.5, True),
        ([pair("training", 1.0, 9.0), pair("held", 1.0, 1.0)], 0.5, False),
        ([pair("training", 1.0, float("nan"))], 0.5, True),
    ],
)
def test_the_held_part_decides_whether_a_stage_did_harm(evaluations, limit, is_harm):
    assert (harm(evaluations, FineTuningConfig(max_loss_increase=limit)) is not None) == is_harm
    if is_harm:
        with pytest.raises(ModelError, match=r"max_loss_increase=0\.5"):
            harm(evaluations, FineTuningConfig(max_loss_increase=limit, on_harm="error"))


@pytest.mark.parametrize("options", [{"on_harm": "error"}, {"evaluation_split": "train"}])
def test_options_without_effect_are_refused(options):
    with pytest.raises(ConfigError):
        FineTuningConfig(**options)
