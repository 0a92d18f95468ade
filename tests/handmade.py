"""A model that plain int8 breaks, and `.tflite` files that no converter writes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tf_keras
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

OPS = schema.BuiltinOperator
FACTOR = 3000.0
NUM_WIDE = 2


def wide_model(images: np.ndarray, labels: np.ndarray) -> tf_keras.Model:
    """A CNN for digits with two channels behind `conv` of 3,000 times their range, undone by `depthwise`."""
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    image = layers.Input((8, 8, 1), name="image")
    hidden = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(image)
    hidden = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(hidden)
    hidden = layers.Conv2D(8, 1, activation="relu", name="point")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    model = tf_keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(hidden), name="wide")
    model.compile(tf_keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=5, verbose=0)
    factors = np.where(np.arange(8) < NUM_WIDE, FACTOR, 1).astype(np.float32)
    kernel, bias = model.get_layer("conv").get_weights()
    model.get_layer("conv").set_weights([kernel * factors, bias * factors])
    kernel, bias = model.get_layer("depthwise").get_weights()
    model.get_layer("depthwise").set_weights([kernel / factors[:, np.newaxis], bias])
    return model


def tensor(name: str, shape: Sequence[int], buffer: int = 0, dtype: int = schema.TensorType.FLOAT32) -> Any:
    """A tensor; with a buffer, of the constants counted from 1, it is one of them."""
    made = schema.TensorT()
    made.name, made.shape, made.buffer, made.type = name.encode(), np.array(shape, np.int32), buffer, dtype
    return made


def write_file(operators: Sequence[Any], tensors: Sequence[Any], constants: Sequence[np.ndarray] = ()) -> bytes:
    """A file with the input `x`, the first tensor, and the output `y`, the last one.

    Args:
      operators: Of (code, indices of inputs, index of the output, kind of options, options).
      tensors: From `tensor`.
      constants: Content of the buffers.
    """
    model, graph, signature = schema.ModelT(), schema.SubGraphT(), schema.SignatureDefT()
    model.version, model.buffers = 3, [schema.BufferT()]
    for values in constants:
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
    model.operatorCodes, graph.operators = [], []
    for index, (code, inputs, output, kind, options) in enumerate(operators):
        opcode, operator = schema.OperatorCodeT(), schema.OperatorT()
        opcode.builtinCode, opcode.deprecatedBuiltinCode, opcode.version = code, min(code, 127), 1
        model.operatorCodes.append(opcode)
        operator.opcodeIndex = index
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        graph.operators.append(operator)
    graph.tensors = list(tensors)
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([len(tensors) - 1], np.int32)
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = [_end(b"x", 0)], [_end(b"y", len(tensors) - 1)]
    model.subgraphs, model.signatureDefs = [graph], [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def convolution(stride: int) -> bytes:
    """Takes (1, 4, 4, 1); no stride of 0 exists."""
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = stride
    options.dilationHFactor = options.dilationWFactor = 1
    kind = schema.BuiltinOptions.Conv2DOptions
    operators = [(OPS.RELU, [0], 1, 0, None), (OPS.CONV_2D, [1, 2, 3], 4, kind, options)]
    tensors = [
        tensor("x", [1, 4, 4, 1]),
        tensor("relu", [1, 4, 4, 1]),
        tensor("kernel", [2, 3, 3, 1], 1),
        tensor("bias", [2], 2),
        tensor("conv", [1, 4, 4, 2]),
    ]
    return write_file(operators, tensors, [np.ones((2, 3, 3, 1), np.float32), np.zeros(2, np.float32)])


def reshape(size: int) -> bytes:
    """Takes (1, 4) and gives it back in `size` columns."""
    operators = [(OPS.RELU, [0], 1, 0, None), (OPS.RESHAPE, [1, 2], 3, 0, None), (OPS.RELU, [3], 4, 0, None)]
    tensors = [
        tensor("x", [1, 4]),
        tensor("relu", [1, 4]),
        tensor("shape", [2], 1, schema.TensorType.INT32),
        tensor("reshaped", [1, size]),
        tensor("last", [1, size]),
    ]
    return write_file(operators, tensors, [np.array([1, size], np.int32)])


def gather(column: int) -> bytes:
    """Takes (1, 4) and gives the first column and another one."""
    options = schema.GatherOptionsT()
    options.axis = 1
    kind = schema.BuiltinOptions.GatherOptions
    operators = [(OPS.RELU, [0], 1, 0, None), (OPS.GATHER, [1, 2], 3, kind, options), (OPS.RELU, [3], 4, 0, None)]
    tensors = [
        tensor("x", [1, 4]),
        tensor("relu", [1, 4]),
        tensor("columns", [2], 1, schema.TensorType.INT32),
        tensor("gathered", [1, 2]),
        tensor("last", [1, 2]),
    ]
    return write_file(operators, tensors, [np.array([0, column], np.int32)])


def _end(name: bytes, index: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made
