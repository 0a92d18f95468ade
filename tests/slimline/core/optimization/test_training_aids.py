"""What helps when there is little data: a falling rate, weights, augmentation, and the original as a teacher."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models.rebuilding import rebuild
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.core.optimization.distillation import output_distance, taught_by
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.training import compile_like, fine_tune, num_steps
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.errors import ConfigError
from tests import zoo
from tests.zoo import NUM_EXAMPLES

AUGMENT_FN = """
import tensorflow as tf
import tf_keras

flip = tf_keras.layers.RandomFlip()
shift = tf_keras.layers.RandomTranslation(0.05, 0.05)

def nothing_to_see(inputs, label):
    return {name: tf.zeros_like(values) for name, values in inputs.items()}, label

def flipped(inputs, label):
    return {name: flip(values, training=True) for name, values in inputs.items()}, label

def shifted(inputs, label):
    return {name: shift(values, training=True) for name, values in inputs.items()}, label

def inputs_alone(inputs, label):
    return inputs
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "own_augmentation.py").write_text(AUGMENT_FN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture(scope="module")
def teacher(digits):
    """A small CNN without normalization, whose averages lag behind in so short a training."""
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    image = layers.Input((8, 8, 1), name="image")
    hidden = layers.MaxPooling2D()(layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(image))
    hidden = layers.Dense(32, activation="relu", name="dense")(layers.Flatten()(hidden))
    model = tf_keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(hidden), name="small")
    model.compile(tf_keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*digits, epochs=12, batch_size=32, verbose=0)
    return model


def tune(specimen, config, **options):
    copy = rebuild(specimen.model, prefix="other_")
    dataset = specimen.dataset(config.batch_size)
    fine_tune(copy, specimen.model, dataset, config, steps=num_steps(NUM_EXAMPLES, config), **options)
    return copy


class Rates(tf_keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def test_the_rate_falls_as_keras_own_schedule_does():
    rates = Rates()
    config = FineTuningConfig(batch_size=20, epochs=4, learning_rate=1e-2, rate_schedule="cosine")
    tune(zoo.autoencoder(), config, callbacks=[rates])
    expected = tf_keras.optimizers.schedules.CosineDecay(1e-2, len(rates.seen))
    np.testing.assert_allclose(rates.seen, [float(expected(step)) for step in range(len(rates.seen))], rtol=1e-5)


def test_classes_are_weighted_as_keras_weights_them():
    specimen = zoo.sequential()
    by_hand = rebuild(specimen.model, prefix="other_")
    weights = {0: 5.0, 2: 0.25}
    config = FineTuningConfig(batch_size=16, epochs=2, learning_rate=1e-2, class_weights=weights)
    compile_like(by_hand, specimen.model, config)
    every = {number: weights.get(number, 1.0) for number in range(specimen.model.output_shape[-1])}
    by_hand.fit(specimen.dataset(16), epochs=2, class_weight=every, verbose=0)
    for ours, theirs in zip(tune(specimen, config).get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert FineTuningConfig.from_json(config.to_json()) == config


def test_weights_of_classes_are_for_one_output():
    with pytest.raises(ConfigError, match="several outputs"):
        tune(zoo.tabular(), FineTuningConfig(batch_size=16, class_weights={1: 2.0}))


def test_the_training_sees_what_the_augmentation_gives():
    """Of zeros no kernel that takes them can learn anything."""
    specimen = zoo.autoencoder()
    config = {"batch_size": 16, "epochs": 1, "learning_rate": 1e-2, "optimizer": "sgd"}
    before = specimen.model.get_layer("encode").kernel.numpy()
    blind = tune(specimen, FineTuningConfig(**config, augment_fn="own_augmentation.nothing_to_see"))
    assert np.array_equal(blind.get_layer("other_encode").kernel.numpy(), before)
    assert not np.array_equal(
        tune(specimen, FineTuningConfig(**config)).get_layer("other_encode").kernel.numpy(), before
    )


def test_preprocessing_layers_of_keras_augment(trained, dataset):
    config = PruningConfig(batch_size=32, epochs=1, augment_fn="own_augmentation.flipped")
    flipped = prune(trained, dataset, 600, config).model.get_weights()
    plain = prune(trained, dataset, 600, PruningConfig(batch_size=32, epochs=1)).model.get_weights()
    assert any(not np.array_equal(ours, theirs) for ours, theirs in zip(flipped, plain, strict=True))


def test_an_augmentation_that_gives_no_batch_is_refused():
    with pytest.raises(ConfigError, match="a pair of"):
        tune(zoo.autoencoder(), FineTuningConfig(batch_size=16, augment_fn="own_augmentation.inputs_alone"))


def softened(scores, temperature):
    raised = scores ** (1 / temperature)
    return raised / raised.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_distance_is_the_divergence_of_softened_probabilities(temperature):
    teacher, student = np.random.default_rng(0).dirichlet(np.ones(5), (2, 8))
    wanted, given = softened(teacher, temperature), softened(student, temperature)
    divergence = temperature**2 * (wanted * np.log(wanted / given)).sum(-1).mean()
    found = output_distance(tf.constant(teacher), tf.constant(student), "softmax", temperature)
    np.testing.assert_allclose(float(found), divergence, rtol=1e-4)
    two = output_distance(tf.constant(teacher[:, :1]), tf.constant(student[:, :1]), "sigmoid", 1.0)
    p, q = teacher[:, :1], student[:, :1]
    np.testing.assert_allclose(float(two), (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(), rtol=1e-4)
    values = output_distance(tf.constant(teacher), tf.constant(student), "linear", temperature)
    np.testing.assert_allclose(float(values), ((teacher - student) ** 2).mean(), rtol=1e-4)


def test_a_pupil_of_the_original_learns_it_from_wrong_labels(teacher, digits):
    """The labels are random: only the teacher knows what is right."""
    images, labels = digits
    tf_keras.utils.set_random_seed(0)
    wrong = np.random.default_rng(0).integers(0, 10, len(labels))
    dataset = tf.data.Dataset.from_tensor_slices(({teacher.input_names[0]: images}, wrong)).batch(64)

    def agreement(weight):
        config = FineTuningConfig(epochs=3, batch_size=64, learning_rate=3e-3, distillation_weight=weight)
        pupil = rebuild(teacher, prefix="pupil_")
        noise = np.random.default_rng(1)
        pupil.set_weights([each + noise.normal(0, 0.1, each.shape) for each in pupil.get_weights()])
        fine_tune(pupil, teacher, dataset, config, steps=num_steps(len(labels), config))
        wanted, given = (model.predict(images, verbose=0).argmax(1) for model in (teacher, pupil))
        return (wanted == given).mean()

    taught = agreement(1.0)
    assert taught > 0.9
    assert agreement(0.0) < taught - 0.1


def test_nothing_is_left_of_the_teacher():
    specimen = zoo.autoencoder()
    copy = rebuild(specimen.model)
    config = FineTuningConfig(distillation_weight=0.5)
    compile_like(copy, specimen.model, config)
    with taught_by(specimen.model, copy, config):
        assert "compute_loss" in vars(copy)
    assert "compute_loss" not in vars(copy)


@pytest.mark.parametrize(
    ("technique", "kind"), [(prune, PruningConfig), (cluster, ClusteringConfig), (train_quantization_aware, QatConfig)]
)
def test_every_technique_takes_all_of_them_together(technique, kind, teacher, digits, dataset):
    images, labels = digits
    config = kind(
        batch_size=32,
        epochs=3,
        learning_rate=1e-3,
        rate_schedule="cosine",
        augment_fn="own_augmentation.shifted",
        distillation_weight=0.5,
        class_weights={1: 2.0},
    )
    made = technique(teacher, dataset, 600, config).model
    before, after = ((m.predict(images, verbose=0).argmax(1) == labels).mean() for m in (teacher, made))
    assert after > before - 0.03
