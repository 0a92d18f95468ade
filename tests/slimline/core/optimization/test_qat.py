import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

from slimline.core.models.weights import count_kernels
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.weight_history import WeightSnapshot, lost_in_file
from slimline.core.quantization.conversion import convert_quantization_aware
from slimline.core.tflite.flatbuffer import weight_tensors
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ModelError
from tests import zoo
from tests.zoo import NUM_EXAMPLES, Specimen

KINDS = {"one": "plain", "two": "pqat", "three": "cqat", "four": "pcqat"}


def trained_aware(specimen, **options):
    config = QatConfig(**{"epochs": 1, "batch_size": 16, "learning_rate": 1e-2, **options})
    return train_quantization_aware(specimen.model, specimen.dataset(config.batch_size), NUM_EXAMPLES, config)


def tensors_by_layer(content, layers):
    """Returns the kernels of layers that follow one another, which is the order of the file."""
    return dict(zip(layers, weight_tensors(content), strict=True))


def input_and_output_types(content):
    interpreter = Interpreter(model_content=content)
    return {
        np.dtype(detail["dtype"]).name for detail in interpreter.get_input_details() + interpreter.get_output_details()
    }


@pytest.fixture(scope="module")
def kinds():
    """Four kernels of 32 by 32: one as trained, one half zeros, one of eight values, one of zeros and eight values."""
    layers = tf_keras.layers
    hidden = signal = layers.Input((32,), name="signal")
    for name in KINDS:
        hidden = layers.Dense(32, name=name)(hidden)
    model = tf_keras.Model(signal, hidden)
    generator = np.random.default_rng(0)
    free = generator.normal(0, 0.2, (4, 32, 32)).astype(np.float32)
    few = generator.choice(np.linspace(-0.4, 0.5, 8, dtype=np.float32), (4, 32, 32))
    is_zero = generator.permutation(1024).reshape(32, 32) < 512
    kernels = {
        "one": free[0],
        "two": np.where(is_zero, 0, free[1]),
        "three": few[2],
        "four": np.where(is_zero, 0, few[3]),
    }
    for name, kernel in kernels.items():
        model.get_layer(name).set_weights([kernel, np.zeros(32)])
    model.compile("adam", "mse")
    values = generator.normal(size=(NUM_EXAMPLES, 32)).astype(np.float32)
    return Specimen(model, {"signal": values}, values)


@pytest.fixture(scope="module")
def by_itself(kinds):
    return trained_aware(kinds)


def test_what_to_keep_is_seen_from_the_weights_layer_by_layer(by_itself):
    assert by_itself.collaborations == KINDS
    assert by_itself.left == {}


def test_zeros_and_clusters_are_in_the_file(kinds, by_itself):
    content = convert_quantization_aware(by_itself)
    tensors = tensors_by_layer(content, KINDS)
    assert {tensor.dtype for tensor in tensors.values()} == {"int8"}
    assert input_and_output_types(content) == {"int8"}
    assert (tensors["two"].num_zeros, tensors["four"].num_zeros) >= (512, 512)
    assert tensors["three"].num_distinct <= 8
    assert tensors["four"].num_distinct <= 9
    assert lost_in_file(WeightSnapshot("clustering", count_kernels(kinds.model)), tuple(tensors.values()), "int8") == ()


@pytest.mark.parametrize(("forced", "lost"), [("plain", "zc"), ("pqat", "c"), ("cqat", "z"), ("pcqat", "")])
def test_what_to_keep_can_be_forced_and_the_rest_is_lost(kinds, forced, lost):
    result = trained_aware(kinds, collaboration=forced)
    assert result.collaborations == dict.fromkeys(KINDS, forced)
    tensors = tensors_by_layer(convert_quantization_aware(result), KINDS)
    # The kernel without zeros in front would keep TFMOT's own scheme from keeping those of the others.
    assert [tensors[name].num_zeros >= 512 for name in ("two", "four")] == ["z" not in lost] * 2
    assert [tensors[name].num_distinct <= 9 for name in ("three", "four")] == ["c" not in lost] * 2
    words = "; ".join(
        lost_in_file(WeightSnapshot("clustering", count_kernels(kinds.model)), tuple(tensors.values()), "int8")
    )
    assert (" zeros after" in words, " different weights after" in words) == ("z" in lost, "c" in lost)


def test_layers_that_are_skipped_stay_in_float(kinds):
    result = trained_aware(kinds, skip_layers=("t*",), seed=1)
    assert result.left == dict.fromkeys(("two", "three"), "skip_layers names it")
    assert result.collaborations == {"one": "plain", "four": "pcqat"}
    tensors = tensors_by_layer(convert_quantization_aware(result), KINDS)
    assert [tensor.dtype for tensor in tensors.values()] == ["int8", "float32", "float32", "int8"]


def test_a_pattern_that_skips_nothing_is_refused_with_the_near_miss(kinds):
    with pytest.raises(ConfigError, match="Did you mean 'three'"):
        trained_aware(kinds, skip_layers=("thre",))


def test_a_kernel_of_nothing_but_zeros_stays_so():
    specimen = zoo.autoencoder()
    specimen.model.get_layer("encode").set_weights([np.zeros((32, 8)), np.ones(8)])
    tensors = tensors_by_layer(convert_quantization_aware(trained_aware(specimen)), ["encode", "decode"])
    assert tensors["encode"].num_zeros == 256
    assert tensors["decode"].num_zeros < 26


def test_the_pointwise_kernel_of_a_separable_layer_keeps_its_zeros_and_clusters():
    specimen = zoo.separable()
    for name in ("separable_1", "separable_2"):
        layer = specimen.model.get_layer(name)
        depthwise, pointwise, bias = layer.get_weights()
        few = np.sign(pointwise) * np.where(np.abs(pointwise) < 0.3, 0, np.where(np.abs(pointwise) < 0.6, 0.5, 0.75))
        layer.set_weights([depthwise, few, bias])
    result = trained_aware(specimen)
    assert result.collaborations == {"separable_1": "pcqat", "separable_2": "pcqat", "scores": "plain"}
    snapshot = WeightSnapshot("clustering", count_kernels(specimen.model))
    tensors = weight_tensors(convert_quantization_aware(result))
    assert [tensor.num_weights for tensor in tensors] == [count.num_weights for count in snapshot.kernels]
    for count, tensor in zip(snapshot.kernels, tensors, strict=True):
        if "pointwise" in count.kernel:
            assert tensor.num_zeros >= count.num_zeros > 0
            assert tensor.max_distinct_per_channel <= count.num_distinct <= 5
    assert lost_in_file(snapshot, tensors, "int8") == ()


def test_layers_that_can_not_be_trained_stay_in_float_until_calibration():
    specimen = zoo.conv1d()
    result = trained_aware(specimen)
    assert result.left == {"conv": "TFMOT trains no Conv1D to be quantized"}
    partly = convert_quantization_aware(result)
    assert [tensor.dtype for tensor in weight_tensors(partly)] == ["float32", "int8"]
    assert input_and_output_types(partly) == {"float32"}
    fully = convert_quantization_aware(result, lambda: ({"signal": row[None]} for row in specimen.inputs["signal"]))
    assert {tensor.dtype for tensor in weight_tensors(fully)} == {"int8"}
    assert input_and_output_types(fully) == {"int8"}


def test_inputs_and_outputs_keep_their_names_and_their_order():
    specimen = zoo.tabular()
    result = trained_aware(specimen, learning_rate=1e-7)
    assert (result.input_names, result.output_names) == (("age", "income"), ("price", "interests"))
    given = TFLiteModel(convert_quantization_aware(result), "tabular").predict(dict(specimen.inputs))
    wanted = specimen.model.predict(dict(specimen.inputs), verbose=0)
    assert given["price"] == pytest.approx(wanted[0], abs=0.1)
    assert given["interests"] == pytest.approx(wanted[1], abs=0.1)


def test_the_same_seed_gives_the_same_weights_and_the_given_model_stays_as_it_is(kinds, by_itself):
    before, config = kinds.model.get_weights(), kinds.model.get_config()
    again = trained_aware(kinds)
    assert all(np.array_equal(*pair) for pair in zip(before, kinds.model.get_weights(), strict=True))
    assert kinds.model.get_config() == config
    pairs = zip(by_itself.model.get_weights(), again.model.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_only_the_expected_warning_is_silenced_and_only_while_it_is_expected(caplog):
    logger = tf.get_logger()
    filters = list(logger.filters)
    specimen = zoo.autoencoder()
    trained_aware(specimen, collaboration="cqat")
    assert "Gradients do not exist" not in caplog.text
    with pytest.raises(ModelError):
        trained_aware(specimen, learning_rate=1e30)
    assert logger.filters == filters
    logger.warning("Gradients do not exist for variables ['x']")
    assert "Gradients do not exist" in caplog.text
