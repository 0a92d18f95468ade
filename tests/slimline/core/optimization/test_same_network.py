"""What TFMOT makes of a model is the same network: Keras itself says so, before any training."""

from contextlib import nullcontext

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.inspection import inspect_model
from slimline.core.internals.tfmot import cluster_weights, without_rounding
from slimline.core.optimization import clustering, qat
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.qat import build_quantization_aware, train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.same_network import require_same_network
from slimline.core.quantization.conversion import convert_quantization_aware
from slimline.errors import ConfigError, ModelError

layers = tf_keras.layers


def input_beside_a_layer() -> tf_keras.Model:
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    joined = layers.Concatenate(name="cat")([a, layers.Dense(3, activation="relu", name="branch")(b)])
    return tf_keras.Model([a, b], layers.Dense(1, name="out")(joined))


def input_beside_a_layer_in_float() -> tf_keras.Model:
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    joined = layers.Concatenate(name="cat")([a, layers.LayerNormalization(name="branch")(b)])
    return tf_keras.Model([a, b], layers.Dense(1, name="out")(joined))


def separable_beside_a_convolution() -> tf_keras.Model:
    image = layers.Input((8, 8, 3), name="image")
    separable = layers.SeparableConv2D(4, 3, padding="same", name="separable")(image)
    joined = layers.Concatenate(name="cat")([separable, layers.Conv2D(3, 3, padding="same", name="conv")(image)])
    return tf_keras.Model(image, layers.Dense(2, name="out")(layers.Flatten()(joined)))


def several_in_another_order() -> tf_keras.Model:
    image = layers.Input((8, 8, 3), name="image")
    made = [layers.Conv2D(2, 1, name=f"conv_{number}")(image) for number in range(3)]
    joined = layers.Concatenate(name="cat")([made[2], made[0], image, made[1]])
    return tf_keras.Model(image, layers.Dense(2, name="out")(layers.Flatten()(joined)))


def adapted_normalization() -> tf_keras.Model:
    normalization = layers.Normalization(name="norm")
    normalization.adapt(np.random.default_rng(0).normal(50, 10, (100, 4)).astype(np.float32))
    return tf_keras.Sequential([layers.Input((4,), name="x"), normalization, layers.Dense(8), layers.Dense(1)])


def given_normalization() -> tf_keras.Model:
    normalization = layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 4.0, 9.0], name="norm")
    return tf_keras.Sequential([layers.Input((4,), name="x"), normalization, layers.Dense(8), layers.Dense(1)])


def subtraction() -> tf_keras.Model:
    a, b = layers.Input((4,), name="a"), layers.Input((4,), name="b")
    return tf_keras.Model([a, b], layers.Subtract(name="minus")([b, layers.Dense(4, name="dense")(a)]))


def nested() -> tf_keras.Model:
    inner = tf_keras.Sequential([layers.Input((4,)), layers.Dense(4, activation="tanh")], name="inner")
    given = layers.Input((4,), name="x")
    return tf_keras.Model(given, layers.Dense(2, name="out")(layers.Concatenate(name="cat")([given, inner(given)])))


KINDS = [
    input_beside_a_layer,
    input_beside_a_layer_in_float,
    separable_beside_a_convolution,
    several_in_another_order,
    adapted_normalization,
    given_normalization,
    subtraction,
    nested,
]


def outputs(model: tf_keras.Model) -> np.ndarray:
    generator = np.random.default_rng(7)
    values = [generator.normal(size=(16, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]
    return np.asarray(model(values if len(values) > 1 else values[0], training=False))


@pytest.mark.parametrize("build", KINDS)
def test_a_model_to_be_trained_is_the_same_network_before(build):
    tf_keras.utils.set_random_seed(0)
    model = build()
    aware, _ = build_quantization_aware(model, QatConfig())
    with without_rounding():
        np.testing.assert_allclose(outputs(aware), outputs(model), atol=1e-4)


def test_inputs_keep_their_order():
    aware, _ = build_quantization_aware(several_in_another_order(), QatConfig())
    (joined,) = [layer for layer in aware.layers if layer.name.endswith("cat")]
    names = [layer.name for layer in joined._inbound_nodes[-1].inbound_layers]
    assert [name[-6:] for name in names[:2]] == ["conv_2", "conv_0"]
    assert names[3].endswith("conv_1")


def test_what_tfmot_changes_all_the_same_is_left_in_float(monkeypatch):
    monkeypatch.setattr(qat, "inputs_in_order", nullcontext)
    tf_keras.utils.set_random_seed(0)
    model = input_beside_a_layer()
    aware, planned = build_quantization_aware(model, QatConfig())
    assert planned.left == {"cat": "TFMOT makes another layer of it"}
    with without_rounding():
        np.testing.assert_allclose(outputs(aware), outputs(model), atol=1e-4)
    (finding,) = [one for one in inspect_model(model).findings if one.technique == "qat"]
    assert [left.name for left in finding.left] == ["cat"]


def test_an_int8_file_normalizes_as_the_model_does():
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(256, 4)) * [1, 10, 100, 1000] + [0, 50, 500, 20_000]).astype(np.float32)
    y = (x[:, 1] > 50).astype(np.int64)
    normalization = layers.Normalization(name="norm")
    normalization.adapt(x)
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential(
        [layers.Input((4,), name="x"), normalization, layers.Dense(16, activation="relu"), layers.Dense(1, "sigmoid")]
    )
    model.compile(tf_keras.optimizers.Adam(2e-2), "binary_crossentropy")
    model.fit(x, y, epochs=15, verbose=0)
    before = ((np.asarray(model(x))[:, 0] > 0.5) == y).mean()
    dataset = tf.data.Dataset.from_tensor_slices(({"x": x}, y)).batch(32)
    trained = train_quantization_aware(model, dataset, len(x), QatConfig(epochs=1, learning_rate=1e-5))
    after = ((np.asarray(trained.model(x))[:, 0] > 0.5) == y).mean()
    assert before > 0.9
    assert after > before - 0.05
    convert_quantization_aware(trained, lambda: ({"x": x[row : row + 1]} for row in range(64)))


@pytest.mark.parametrize("build", [separable_beside_a_convolution, adapted_normalization])
def test_pruning_nothing_changes_nothing(build):
    tf_keras.utils.set_random_seed(0)
    model = build()
    model.compile("sgd", "mse")
    (given,), number = model.inputs, 8
    x = np.random.default_rng(0).normal(size=(number, *given.shape[1:])).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(({given.name: x}, np.zeros((number, model.output_shape[1])))).batch(8)
    config = PruningConfig(target_sparsity=0.1, epochs=1, batch_size=8, learning_rate=1e-12)
    pruned = prune(model, dataset, number, config).model
    assert np.corrcoef(outputs(pruned).ravel(), outputs(model).ravel())[0, 1] > 0.9


def test_a_model_wrapped_for_clustering_is_compared_before_its_training(monkeypatch):
    """The fault is made here: the layer in the wrapper has another activation."""
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential([layers.Input((4,), name="x"), layers.Dense(8, "tanh", name="a"), layers.Dense(2)])
    model.compile("sgd", "mse")
    dataset = tf.data.Dataset.from_tensors((np.zeros((8, 4), np.float32), np.zeros((8, 2), np.float32)))
    config = ClusteringConfig(num_clusters=4, batch_size=8, epochs=1, train_fn="nowhere.to_be_found")

    def wrap_another(layer, **options):
        other = type(layer).from_config({**layer.get_config(), "activation": "relu"})
        other.build(layer.input_shape)
        other.set_weights(layer.get_weights())
        return cluster_weights(other, **options)

    # Without a fault it comes to the training, which is none.
    with pytest.raises(ConfigError, match="nowhere"):
        cluster(model, dataset, 8, config)
    monkeypatch.setattr(clustering, "cluster_weights", wrap_another)
    with pytest.raises(ModelError, match="wrapped for clustering"):
        cluster(model, dataset, 8, config)


def test_another_network_is_refused():
    tf_keras.utils.set_random_seed(0)
    with pytest.raises(ModelError, match="same network"):
        require_same_network(nested(), nested(), "copied")
