import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.optimization.clustering_config import MIN_CLUSTERS
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.tfmot_support import (
    clustering_unsupported_reason,
    num_clusterable,
    pruning_unsupported_reason,
    qat_unsupported_reason,
)
from slimline.core.quantization.conversion import convert_quantization_aware

L = tf_keras.layers
NUM_EXAMPLES = 16


class Own(tf_keras.layers.Dense):
    """Of the user's own, with what TFMOT asks of such layers."""

    def get_prunable_weights(self):
        return [self.kernel]


def in_model(layer, shape):
    """Puts a layer into a model of its own, so that it is built and has connections."""
    given = L.Input(shape)
    return tf_keras.Model(given, layer(given)).layers[-1]


@pytest.mark.parametrize(
    ("layer", "shape", "pruning", "clustering"),
    [
        (L.Dense(3), (4,), None, None),
        (L.Conv2D(3, 3), (8, 8, 2), None, None),
        (L.Conv1D(3, 3), (8, 2), None, None),
        (L.LSTM(3), (8, 2), None, None),
        (L.Embedding(9, 3), (4,), None, None),
        (L.SeparableConv2D(3, 3), (8, 8, 2), None, None),
        (L.DepthwiseConv2D(3), (8, 8, 2), "depthwise", "depthwise"),
        (L.DepthwiseConv1D(3), (8, 2), "depthwise", "depthwise"),
        (L.TimeDistributed(L.Dense(3)), (8, 2), "prunes no TimeDistributed", "clusters no TimeDistributed"),
        (L.EinsumDense("abc,cd->abd", output_shape=(None, 4)), (8, 3), "prunes no EinsumDense", "clusters no Einsum"),
        (Own(3), (4,), None, "clusters no Own"),
        (L.Dense(3, trainable=False), (4,), None, "frozen"),
        (L.Dense(1), (2,), None, "only 2 different weights"),
    ],
)
def test_what_can_be_pruned_and_clustered(layer, shape, pruning, clustering):
    built = in_model(layer, shape)
    for unsupported_reason, wanted in (
        (pruning_unsupported_reason(built), pruning),
        (clustering_unsupported_reason(built), clustering),
    ):
        assert wanted in str(unsupported_reason) if wanted else unsupported_reason is None


@pytest.mark.parametrize("num_values", [1, 2, 3, 7])
def test_a_layer_holds_as_many_clusters_as_it_has_different_weights(num_values):
    layer = in_model(L.Dense(4, use_bias=False), (5,))
    layer.set_weights([np.resize(np.arange(num_values, dtype=np.float32), (5, 4))])
    assert num_clusterable(layer) == num_values
    assert (clustering_unsupported_reason(layer) is None) == (num_values >= MIN_CLUSTERS)


def test_the_kernel_with_the_fewest_values_counts():
    layer = in_model(L.LSTM(2), (6, 3))
    kernel, recurrent, bias = layer.get_weights()
    layer.set_weights([kernel, np.resize([0.0, 1.0], recurrent.shape), bias])
    assert num_clusterable(layer) == 2
    assert num_clusterable(in_model(L.ReLU(), (3,))) == 0


@pytest.mark.parametrize(
    ("layer", "shape", "reason"),
    [
        (L.Dense(3, activation="tanh"), (4,), None),
        (L.Activation("relu6"), (4,), None),
        (L.Dense(3, activation="relu6"), (4,), "no activation 'relu6'"),
        (L.Dense(3, activation=tf.nn.relu), (4,), None),
        (L.Activation("elu"), (4,), "no activation 'elu'"),
        (L.PReLU(), (4,), "no PReLU"),
        (L.LSTM(3), (8, 2), "no LSTM"),
        (L.Rescaling(2.0), (4,), "no Rescaling"),
        (L.BatchNormalization(), (4,), "does not follow"),
    ],
)
def test_what_can_be_trained_to_be_quantized(layer, shape, reason):
    unsupported_reason = qat_unsupported_reason(in_model(layer, shape))
    assert reason in str(unsupported_reason) if reason else unsupported_reason is None


def test_all_that_is_said_to_be_trainable_is_trained_and_converted():
    given = L.Input((8, 8, 2), name="given")
    hidden = given
    for layer in (
        L.ZeroPadding2D(),
        L.Conv2D(4, 3, groups=2, use_bias=False),
        L.BatchNormalization(),
        L.ReLU(6.0),
        L.SeparableConv2D(4, 3, padding="same"),
        L.BatchNormalization(),
        L.Activation("tanh"),
        L.DepthwiseConv2D(3, activation="relu", padding="same"),
        L.Conv2DTranspose(4, 3, strides=2, padding="same"),
        L.LeakyReLU(),
        L.Cropping2D(2),
        L.AveragePooling2D(),
        L.UpSampling2D(interpolation="bilinear"),
        L.SpatialDropout2D(0.1),
        L.MaxPooling2D(),
        L.Conv2D(3, 1, activation="relu"),
        L.GlobalAveragePooling2D(),
        L.Dense(6, activation="sigmoid"),
        L.Reshape((2, 3)),
        L.Permute((2, 1)),
        L.Flatten(),
        L.Dropout(0.1),
        L.Dense(4),
        L.Softmax(),
    ):
        hidden = layer(hidden)
    joined = L.Concatenate()([hidden, L.Dense(4, activation="gelu")(hidden)])
    model = tf_keras.Model(given, L.Add()([joined, L.Dense(8, activation="softmax")(joined)]))
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    images = random.random((NUM_EXAMPLES, 8, 8, 2)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((images, np.zeros((NUM_EXAMPLES, 8), np.float32))).batch(8)
    trained = train_quantization_aware(model, data, NUM_EXAMPLES, QatConfig(epochs=1, batch_size=8))
    assert trained.left == {}
    assert convert_quantization_aware(trained)[4:8] == b"TFL3"
