import numpy as np
import pytest
import tf_keras

from slimline.core.models.weights import (
    count_kernels,
    count_layer,
    kernels,
    max_distinct,
    non_finite_variables,
    sparsity,
)
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.tflite.flatbuffer import weight_tensors

LAYERS = tf_keras.layers


def model_of(*layers):
    return tf_keras.Sequential(layers)


@pytest.fixture
def dense():
    """Two kernels and a bias: 2 of 6 weights are zero, then 3 of 3."""
    model = model_of(LAYERS.Input((3,)), LAYERS.Dense(2, name="one"), LAYERS.Dense(1, use_bias=False, name="two"))
    kernel = np.array([[0, 0.5], [-0.0, 0.5], [1, -1]], np.float32)
    model.set_weights([kernel, np.zeros(2), np.zeros((2, 1))])
    return model


def test_zeros_and_distinct_values_are_counted_without_biases(dense):
    counts = [(c.layer, c.kernel, c.num_weights, c.num_zeros, c.num_distinct) for c in count_kernels(dense)]
    assert counts == [("one", "one/kernel", 6, 2, 4), ("two", "two/kernel", 2, 2, 1)]


def test_weights_that_int8_rounds_to_zero_are_counted_by_output_channel():
    """The largest of a channel becomes 127: what is under half a 127th of it becomes zero."""
    model = model_of(LAYERS.Input((4,)), LAYERS.Dense(3, use_bias=False))
    model.set_weights([np.array([[127, 1.27, 0], [0.6, 0.004, 0], [0.4, -0.006, 0], [0, 0, 0]], np.float32)])
    (count,) = count_kernels(model)
    assert (count.num_zeros, count.num_zeros_int8) == (6, 2 + 2 + 4)


def test_sparsity_is_the_share_of_zeros_in_all_kernels_together(dense):
    assert sparsity(count_kernels(dense)) == 4 / 8
    assert sparsity(count_kernels(dense)[:1]) == 2 / 6


def test_a_model_without_kernels_has_no_sparsity():
    counts = count_kernels(model_of(LAYERS.Input((3,)), LAYERS.BatchNormalization()))
    assert counts == ()
    assert sparsity(counts) == 0
    assert max_distinct(counts) == 0


@pytest.mark.parametrize(
    ("shape", "layer", "sizes"),
    [
        ((4, 4, 1), LAYERS.Conv2D(2, 3), {"kernel": 18}),
        ((4, 4, 2), LAYERS.DepthwiseConv2D(3), {"depthwise_kernel": 18}),
        ((4, 4, 2), LAYERS.SeparableConv2D(5, 3), {"depthwise_kernel": 18, "pointwise_kernel": 10}),
        ((4,), LAYERS.Embedding(7, 3), {"embeddings": 21}),
        ((5, 2), LAYERS.LSTM(3), {"kernel": 24, "recurrent_kernel": 36}),
        ((5, 2), LAYERS.Bidirectional(LAYERS.LSTM(3)), {"kernel": 24, "recurrent_kernel": 36}),
        ((4,), LAYERS.LayerNormalization(), {}),
    ],
)
def test_every_kernel_of_a_layer_is_found(shape, layer, sizes):
    model = model_of(LAYERS.Input(shape), layer)
    found = [(name.rsplit("/", 1)[-1], values.size) for name, values in kernels(model.layers[0])]
    assert dict(found) == sizes
    assert len(found) == len(sizes) * (2 if isinstance(layer, LAYERS.Bidirectional) else 1)


def test_the_largest_number_of_different_weights_is_that_of_one_kernel(dense):
    assert max_distinct(count_kernels(dense)) == 4
    assert max_distinct(count_kernels(dense)[1:]) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_variables_with_a_value_that_is_no_number_are_named(dense, value):
    assert non_finite_variables(dense) == []
    kernel, bias, other = dense.get_weights()
    bias[1] = value
    dense.set_weights([kernel, bias, other])
    assert non_finite_variables(dense) == ["one/bias:0"]


def test_a_model_is_counted_layer_by_layer(dense):
    one, two = dense.layers
    assert count_layer(one) + count_layer(two) == count_kernels(dense)
    assert [count.layer for count in count_layer(one)] == ["one"]


CONVOLUTIONS = (
    LAYERS.Input((8, 8, 3)),
    LAYERS.SeparableConv2D(8, 3, depth_multiplier=2),
    LAYERS.DepthwiseConv2D(3, depth_multiplier=2),
    LAYERS.Conv2DTranspose(6, 3),
    LAYERS.Conv2D(5, 3),
    LAYERS.Flatten(),
    LAYERS.Dense(7),
)


@pytest.mark.parametrize(
    "layers",
    [CONVOLUTIONS, (LAYERS.Input((16, 3)), LAYERS.Conv1D(8, 3), LAYERS.Flatten(), LAYERS.Dense(4))],
    ids=["two dimensions", "one dimension"],
)
def test_the_int8_file_has_as_many_zeros_as_foretold(layers):
    generator = np.random.default_rng(0)
    model = model_of(*layers)
    # Most of these weights are small beside the largest.
    model.set_weights([generator.normal(size=weight.shape) ** 5 for weight in model.get_weights()])
    records = generator.random((16, *model.input_shape[1:])).astype(np.float32)
    (name,) = model.input_names
    content = quantize(model, QuantizationConfig(scheme="int8"), lambda: ({name: row[None]} for row in records))
    counts, tensors = count_kernels(model), weight_tensors(content)
    assert [tensor.num_zeros for tensor in tensors] == [count.num_zeros_int8 for count in counts]
    assert all(count.num_zeros_int8 > count.num_zeros == 0 for count in counts)


def test_an_embedding_has_one_scale_as_in_the_int8_file():
    values = LAYERS.Input((9,), dtype="int32", name="values")
    model = tf_keras.Model(values, LAYERS.Embedding(20, 7)(values))
    table = np.clip(np.random.default_rng(0).normal(size=(20, 7)) ** 5, -9, 9)
    # In one column alone, and of both signs: in the file the range of an embedding is not symmetric by itself.
    table[:2, 0] = (50, -50)
    model.set_weights([table])
    records = [{"values": np.arange(start, start + 9, dtype=np.int32)[np.newaxis]} for start in range(11)]
    (tensor,) = weight_tensors(quantize(model, QuantizationConfig(scheme="int8"), lambda: records))
    assert tensor.num_zeros == count_kernels(model)[0].num_zeros_int8 == (np.abs(table) < 25 / 127).sum()
