import numpy as np
import pytest
import tf_keras
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from slimline.core.models.weights import count_kernels
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.tflite.flatbuffer import WeightTensor, float_operations, weight_tensors
from tests import zoo

LAYERS = tf_keras.layers
SCHEMES = ("float32", "float16", "int8", "dynamic_range")
KERNEL_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def convert(specimen, scheme):
    name, values = next(iter(specimen.inputs.items()))
    records = (lambda: ({name: row[None]} for row in values[:16])) if scheme == "int8" else None
    return quantize(specimen.model, QuantizationConfig(scheme=scheme), records)


@pytest.fixture(scope="module")
def specimen():
    """A separable, an ordinary and two dense kernels, of many zeros and of few values beside the zeros."""
    layers = [
        LAYERS.Input((8, 8, 3), name="image"),
        LAYERS.SeparableConv2D(8, 3, depth_multiplier=2, activation="relu", name="separable"),
        LAYERS.Conv2D(16, 3, activation="relu", name="conv"),
        LAYERS.Flatten(name="flatten"),
        LAYERS.Dense(12, activation="relu", name="dense"),
        LAYERS.Dense(12, name="dense_1"),
    ]
    model = tf_keras.Sequential(layers)
    generator = np.random.default_rng(0)
    for layer in model.layers:
        weights = [np.where(generator.random(w.shape) < 0.4, 0, np.round(w, 2)) for w in layer.get_weights()]
        layer.set_weights(weights)
    return zoo.Specimen(model, {"image": generator.random((16, 8, 8, 3)).astype(np.float32)}, None)


@pytest.fixture(scope="module")
def files(specimen):
    return {scheme: convert(specimen, scheme) for scheme in SCHEMES}


@pytest.fixture(params=SCHEMES)
def content(request, files):
    return files[request.param]


def read_kernels(content):
    """Reads (operation, dtype, values) of every kernel through the interpreter."""
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=content, experimental_preserve_all_tensors=True, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    operations = interpreter._get_ops_details()
    stored = {op["outputs"][0]: op["inputs"][0] for op in operations if op["op_name"] == "DEQUANTIZE"}
    kernels = [(op["op_name"], op["inputs"][1]) for op in operations if op["op_name"] in KERNEL_OPS]
    return [(name, interpreter.get_tensor(stored.get(index, index))) for name, index in kernels]


def test_counts_are_those_of_the_values_that_the_interpreter_gives(content):
    kernels = read_kernels(content)
    assert [name for name, _ in kernels] == ["DEPTHWISE_CONV_2D", "CONV_2D", "CONV_2D", *["FULLY_CONNECTED"] * 2]
    for (op, values), tensor in zip(kernels, weight_tensors(content), strict=True):
        assert (tensor.op, tensor.dtype, tensor.shape) == (op, values.dtype.name, values.shape)
        assert tensor.num_weights == values.size
        # Kernels are quantized symmetrically: zero is zero.
        assert tensor.num_zeros == (values == 0).sum() > 0
        assert tensor.num_distinct == len(set(values.ravel().tolist()))
        channels = np.moveaxis(values, -1, 0) if op == "DEPTHWISE_CONV_2D" else values
        assert tensor.max_distinct_per_channel == max(len(set(channel.ravel().tolist())) for channel in channels)


@pytest.mark.parametrize("scheme", ["float32", "float16"])
def test_zeros_and_clusters_of_the_model_are_those_of_its_file(specimen, files, scheme):
    for count, tensor in zip(count_kernels(specimen.model), weight_tensors(files[scheme]), strict=True):
        assert (tensor.num_weights, tensor.num_zeros) == (count.num_weights, count.num_zeros)
        assert tensor.num_distinct == count.num_distinct


def test_a_tensor_belongs_to_the_layer_that_it_was_made_from(content):
    tensors = weight_tensors(content)
    layers = ["separable", "conv", "dense", "dense_1", "flatten", "dens", "onv"]
    belonging = [[layer for layer in layers if tensor.belongs_to(layer)] for tensor in tensors]
    assert belonging == [["separable"], ["separable"], ["conv"], ["dense"], ["dense_1"]]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("model/dense_1/MatMul", {"dense_1"}),
        (
            "sequential/quant_qat_dense/MatMul;sequential/quant_qat_dense/LastValueQuant/FakeQuantWithMinMaxVars",
            {"dense"},
        ),
        ("model/quant_dense/BiasAdd;x", {"dense"}),
        ("dense", {"dense"}),
        ("model/dense/dense_1/MatMul", {"dense", "dense_1"}),
        ("model/my_dense/MatMul", set()),
        ("model/dense.1/MatMul", {"dense.1"}),
        ("arith.constant4", set()),
    ],
)
def test_names_of_layers_are_found_whole(name, layers):
    tensor = WeightTensor(name, "", "FULLY_CONNECTED", "int8", (2, 2), 4, 0, 4, 2)
    assert {layer for layer in ("dense", "dense_1", "dense.1", "dense_", "1") if tensor.belongs_to(layer)} == layers


@pytest.mark.parametrize("kind", [zoo.text, zoo.conv1d, zoo.lstm, zoo.residual])
def test_every_weight_of_the_model_is_in_the_file_and_no_bias(kind):
    specimen = kind()
    tensors = weight_tensors(convert(specimen, "float32"))
    assert sum(t.num_weights for t in tensors) == sum(k.num_weights for k in count_kernels(specimen.model))
    assert sum(t.num_zeros for t in tensors) == 0


def test_a_kernel_that_is_used_twice_is_counted_once():
    shared = LAYERS.Dense(8, name="shared")
    values = LAYERS.Input((8,), name="values")
    model = tf_keras.Model(values, shared(LAYERS.ReLU()(shared(values))))
    (tensor,) = weight_tensors(convert(zoo.Specimen(model, {"values": np.zeros((1, 8))}, None), "float32"))
    assert tensor.shape == (8, 8)


def test_operations_on_floats_are_told_apart_from_those_on_integers(files):
    assert set(float_operations(files["float32"])) >= set(KERNEL_OPS)
    assert float_operations(files["int8"]) == ()
