"""What real models have and small examples do not: each of these once went wrong."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models.rebuilding import rebuild
from slimline.core.models.weights import KernelCount, count_kernels
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.training import compile_like
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.core.optimization.weight_history import WeightSnapshot, collaboration_of, lost_in_file
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import convert_quantization_aware, quantize
from slimline.core.tflite.flatbuffer import WeightTensor, weight_tensors
from tests import zoo

L = tf_keras.layers
CARELESS = QatConfig(epochs=2, batch_size=16, collaboration="plain", learning_rate=1e-2)


def pruned(specimen, **options):
    config = PruningConfig(**{"epochs": 1, "batch_size": 16, **options})
    return prune(specimen.model, specimen.dataset(), zoo.NUM_EXAMPLES, config)


def trained_file(specimen, config):
    trained = train_quantization_aware(specimen.model, specimen.dataset(), zoo.NUM_EXAMPLES, config)
    return trained, convert_quantization_aware(trained)


def test_blocks_leave_a_convolution_of_one_by_one():
    result = pruned(zoo.ds_cnn(), structure="block", block_size=(2, 2), target_sparsity=0.5)
    assert "blocks are for matrices" in result.left["conv_point_0"]
    assert result.kernels[-1].num_zeros == 16


def test_a_moving_average_of_weights_does_not_undo_pruning():
    specimen = zoo.autoencoder()
    specimen.model.compile(tf_keras.optimizers.Adam(use_ema=True), "mse")
    assert [kernel.num_zeros for kernel in pruned(specimen, target_sparsity=0.5).kernels] == [128, 128]


def test_a_model_trained_under_a_global_half_precision_policy_is_pruned():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        specimen = zoo.autoencoder()
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    result = pruned(specimen, target_sparsity=0.5)
    assert type(result.model.optimizer) is tf_keras.optimizers.Adam
    assert [kernel.num_zeros for kernel in result.kernels] == [128, 128]


def test_skipping_a_convolution_leaves_its_normalization_too():
    config = QatConfig(epochs=1, batch_size=16, skip_layers=("conv",))
    trained, content = trained_file(zoo.sequential(), config)
    assert trained.left == {"conv": "skip_layers names it", "norm": "the layer that it follows stays in float"}
    assert weight_tensors(content)[0].dtype == "float32"


@pytest.mark.parametrize("scheme", ["float32", "float16"])
def test_constants_of_arithmetic_are_no_kernels(scheme):
    tensors = weight_tensors(quantize(zoo.preprocessing().model, QuantizationConfig(scheme=scheme)))
    assert [tensor.op for tensor in tensors] == ["CONV_2D", "FULLY_CONNECTED"]


def test_all_weights_of_a_gru_are_found():
    series = L.Input((6, 4), name="series")
    model = tf_keras.Model(series, L.Dense(3)(L.GRU(8)(series)))
    tensors = weight_tensors(quantize(model, QuantizationConfig(scheme="float32")))
    assert sum(tensor.num_weights for tensor in tensors) == sum(kernel.num_weights for kernel in count_kernels(model))


def test_a_layer_that_training_left_is_found_by_its_name():
    assert WeightTensor("model/qat_dense/MatMul", "", "", "", (), 4, 0, 4, 2).belongs_to("dense")


def test_lost_zeros_of_equal_separable_layers_are_seen():
    parts = [L.SeparableConv2D(8, 3, name="a"), L.SeparableConv2D(8, 3, name="b"), L.Flatten(), L.Dense(2)]
    model = tf_keras.Sequential([L.Input((8, 8, 8), name="x"), *parts])
    model.compile("adam", "mse")
    random = np.random.default_rng(0)
    for name in "ab":
        depthwise, pointwise, bias = model.get_layer(name).get_weights()
        holes = np.where(random.random(pointwise.shape) < 0.5, 0, pointwise)
        model.get_layer(name).set_weights([depthwise, holes, bias])
    images = random.normal(size=(zoo.NUM_EXAMPLES, 8, 8, 8)).astype(np.float32)
    _, content = trained_file(zoo.Specimen(model, {"x": images}, images[:, :2, 0, 0]), CARELESS)
    assert len(lost_in_file(WeightSnapshot("pruning", count_kernels(model)), weight_tensors(content), "int8")) == 2


def test_lost_clusters_show_in_narrow_channels_too():
    specimen = zoo.autoencoder()
    shape = specimen.model.get_layer("decode").kernel.shape
    values = np.random.default_rng(0).choice(np.linspace(-0.5, 0.5, 8), shape)
    specimen.model.get_layer("decode").set_weights([values, np.zeros(32)])
    _, content = trained_file(specimen, CARELESS)
    lost = lost_in_file(WeightSnapshot("clustering", count_kernels(specimen.model)), weight_tensors(content), "int8")
    assert any(line.startswith("decode/kernel had 8 different") for line in lost)


def test_a_very_sparse_kernel_is_not_taken_for_a_clustered_one():
    assert collaboration_of(KernelCount("dense", "dense/kernel", 320, 256, 65, 256)) == "pqat"
    assert collaboration_of(KernelCount("dense", "dense/kernel", 320, 288, 9, 288)) == "pcqat"


def test_names_of_metrics_do_not_grow_from_stage_to_stage():
    specimen = zoo.tabular()
    error = tf_keras.metrics.MeanAbsoluteError(name="error")
    specimen.model.compile("adam", specimen.model.loss, metrics={"price": [error]})
    labels = tuple(specimen.labels[name] for name in ("price", "interests"))
    specimen.model.evaluate(dict(specimen.inputs), labels, verbose=0)
    copy = rebuild(specimen.model)
    compile_like(copy, specimen.model, FineTuningConfig())
    assert "price_error" in copy.evaluate(dict(specimen.inputs), labels, verbose=0, return_dict=True)


def test_weighted_metrics_are_kept():
    specimen = zoo.autoencoder()
    specimen.model.compile("adam", "mse", weighted_metrics=["mae"])
    copy = rebuild(specimen.model)
    compile_like(copy, specimen.model, FineTuningConfig())
    assert "mae" in copy.evaluate(dict(specimen.inputs), specimen.labels, verbose=0, return_dict=True)


def chain(*layers, size=(8, 8, 2)):
    given = hidden = L.Input(size, name="given")
    for layer in layers:
        hidden = layer(hidden)
    return tf_keras.Model(given, L.Dense(2, name="last")(L.Flatten(name="flatten")(hidden)))


def also_an_output():
    given = L.Input((8, 8, 2), name="given")
    hidden = L.Conv2D(4, 3, name="conv")(given)
    normalized = L.BatchNormalization(name="norm")(hidden)
    return tf_keras.Model(given, [L.Dense(2, name="last")(L.Flatten(name="flatten")(normalized)), hidden])


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (lambda: chain(L.Conv2D(4, 3, activation="relu", name="conv"), L.BatchNormalization(name="norm")), {"norm"}),
        (lambda: chain(L.SeparableConv1D(4, 3, name="conv"), size=(8, 2)), {"conv"}),
        (lambda: chain(L.Dense(4, activation="selu", name="dense"), size=(4,)), {"dense"}),
        (lambda: chain(L.Dense(4, activation=L.LeakyReLU(), name="dense"), size=(4,)), {"dense"}),
        (also_an_output, {"norm"}),
    ],
)
def test_what_tfmot_would_break_off_at_is_left_in_float(build, left):
    model = build()
    model.compile("adam", "mse")
    random = np.random.default_rng(0)
    images = random.random((zoo.NUM_EXAMPLES, *model.input_shape[1:])).astype(np.float32)
    labels = dict(zip(model.output_names, tf.nest.flatten(model(images)), strict=True))
    specimen = zoo.Specimen(model, {"given": images}, labels)
    trained, content = trained_file(specimen, QatConfig(epochs=1, batch_size=16))
    assert set(trained.left) == left
    assert content[4:8] == b"TFL3"
