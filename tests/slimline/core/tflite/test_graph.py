import tensorflow as tf
import tf_keras

from slimline.core.tflite.graph import count_macs, read_operators
from tests.operators import constant, data
from tests.small_models import convert

LAYERS = tf_keras.layers


def macs(content):
    return {operator.op: operator.macs for operator in read_operators(content) if operator.macs}


def test_the_work_of_each_kernel_is_that_computed_by_hand(static_int8):
    assert macs(static_int8) == {
        # 4 x 4 places, 4 channels, of 3 x 3 weights on 2 channels.
        "CONV_2D": 4 * 4 * 4 * 3 * 3 * 2,
        # 4 x 4 places, 4 channels, of 3 x 3 weights each.
        "DEPTHWISE_CONV_2D": 4 * 4 * 4 * 3 * 3,
        # Each of the 4 x 4 x 4 values goes through 2 x 2 weights to 3 channels.
        "TRANSPOSE_CONV": 4 * 4 * 4 * 2 * 2 * 3,
        "FULLY_CONNECTED": 8 * 8 * 3 * 5,
    }


def test_the_work_is_that_of_one_example_whatever_the_types_and_the_batch(static_int8, open_int8, float32, int16x8):
    assert macs(open_int8) == macs(float32) == macs(int16x8) == macs(static_int8)


def test_a_convolution_in_groups_uses_each_weight_in_its_group_only():
    image = LAYERS.Input((6, 6, 4), name="x")
    model = tf_keras.Model(image, LAYERS.Conv2D(8, 3, groups=2, name="y")(image))
    assert sum(macs(convert(model, scheme="float32")).values()) == 4 * 4 * 8 * 3 * 3 * 2


def test_a_matrix_product_counts_rows_times_columns_times_what_they_share():
    left, right = LAYERS.Input((5, 7), name="left"), LAYERS.Input((7, 3), name="right")
    product = LAYERS.Lambda(lambda both: tf.matmul(*both), name="y")([left, right])
    assert macs(convert(tf_keras.Model([left, right], product), scheme="float32")) == {"BATCH_MATMUL": 5 * 3 * 7}


def test_what_has_no_weights_has_no_work():
    assert count_macs("ADD", (data(1, 8), data(1, 8)), (data(1, 8),)) == 0
    assert count_macs("RESHAPE", (data(1, 8), constant(2)), (data(1, 8),)) == 0
    assert count_macs("CONV_2D", (), ()) == 0


def test_batch_and_open_sizes_are_told_apart(static_int8, open_int8):
    assert not [
        operator for operator in read_operators(static_int8) for tensor in operator.inputs if tensor.has_open_batch
    ]
    first = read_operators(open_int8)[0].inputs[0]
    assert (first.has_open_batch, first.is_dynamic, first.shape) == (True, False, (1, 9, 9, 2))
    sized = LAYERS.Input((None, 4), name="x")
    content = convert(tf_keras.Model(sized, LAYERS.Dense(2, name="y")(sized)), scheme="float32")
    assert read_operators(content)[0].inputs[0].is_dynamic


def test_types_constants_and_fused_activations_are_read(static_int8):
    first = read_operators(static_int8)[0]
    assert (first.op, first.activation, first.options["strideW"]) == ("CONV_2D", "RELU", 2)
    assert [(tensor.dtype, tensor.is_constant) for tensor in first.inputs] == [
        ("int8", False),
        ("int8", True),
        ("int32", True),
    ]
    assert [operator.activation for operator in read_operators(static_int8)[1:]] == ["NONE"] * 4


def test_an_operation_of_tensorflow_is_named_by_its_own_name():
    image = LAYERS.Input((4, 4), name="x")
    model = tf_keras.Model(image, LAYERS.Lambda(tf.linalg.inv, name="y")(image))
    content = convert(model, scheme="float32", allow_select_ops=True)
    assert "FlexMatrixInverse" in [operator.op for operator in read_operators(content)]
