import tensorflow as tf
import tf_keras

from slimline.core.targets import gpu
from tests.small_models import convert

LAYERS = tf_keras.layers

# As the analyzer of TensorFlow 2.21 prints it.
PRINTED = """\
=== TFLite ModelAnalyzer ===

Your TFLite model has '1' subgraph(s). In the subgraph description below,

Subgraph#0 main(T#0) -> [T#10]
  Op#0 CONV_2D(T#0, T#5, T#4) -> [T#6]
  Op#1 EMBEDDING_LOOKUP(T#6, T#3) -> [T#7]
GPU COMPATIBILITY WARNING: Not supported op EMBEDDING_LOOKUP
  Op#2 RESHAPE(T#8, T#2[-1, 144]) -> [T#9]
  Op#10 MUL(T#9, T#1) -> [T#10]
GPU COMPATIBILITY WARNING: MUL: Dimensions can not be reduced to linear.
GPU COMPATIBILITY WARNING: Subgraph#0 has GPU delegate compatibility issues at operators 1, 10 on TFLite runtime version 2.21.0

Tensors of Subgraph#0
  T#0(serving_default_x:0) shape:[1, 8, 8, 4], type:FLOAT32
"""  # noqa: E501


def test_each_warning_belongs_to_the_operation_before_it():
    assert gpu.read_warnings(PRINTED) == {
        1: "the delegate's analyzer says: Not supported op EMBEDDING_LOOKUP",
        10: "the delegate's analyzer says: MUL: Dimensions can not be reduced to linear.",
    }


def test_a_warning_before_any_operation_and_none_at_all_are_left_alone():
    assert gpu.read_warnings("GPU COMPATIBILITY WARNING: odd\n") == {}
    assert gpu.read_warnings("") == {}


def test_float_and_int8_files_run_there_wholly(float32, static_int8, capfd):
    for content in (float32, static_int8):
        report = gpu.judge(content)
        assert (report.target, report.runs, report.accelerated_share, report.reasons) == ("gpu", True, 1, ())
    assert tf.__version__ in report.source
    assert capfd.readouterr().out == ""


def test_the_analyzer_s_warning_is_the_reason(float32, monkeypatch):
    monkeypatch.setattr(gpu, "read_warnings", lambda printed: {0: "the analyzer says: odd"})
    report = gpu.judge(float32)
    assert report.reasons == ("CONV_2D: the analyzer says: odd",)
    assert report.runs
    assert report.accelerated_share < 1


def test_wide_integers_are_not_computed_there():
    image = LAYERS.Input((4, 4), name="x")
    largest = LAYERS.Lambda(lambda values: tf.argmax(values, axis=-1, output_type=tf.int64), name="y")(image)
    report = gpu.judge(convert(tf_keras.Model(image, largest), scheme="float32", static_batch=True))
    assert report.reasons == ("ARG_MAX: a GPU computes no int64",)
    assert report.accelerated_share == 0


def test_16_bit_activations_are_not_computed_there(int16x8):
    report = gpu.judge(int16x8)
    assert report.accelerated_share == 0
    assert "a GPU computes no int16" in report.reasons[0]


def test_an_open_size_is_not_fixed():
    sequence = LAYERS.Input((None, 4), name="x")
    report = gpu.judge(convert(tf_keras.Model(sequence, LAYERS.ReLU(name="y")(sequence)), scheme="float32"))
    assert report.reasons[0].endswith(": its shape is not fixed")
    assert report.accelerated_share == 0


def test_an_operation_of_tensorflow_needs_its_kernels():
    image = LAYERS.Input((4, 4), name="x")
    model = tf_keras.Model(image, LAYERS.Lambda(tf.linalg.inv, name="y")(image))
    report = gpu.judge(convert(model, scheme="float32", allow_select_ops=True))
    assert "FlexMatrixInverse: it needs TensorFlow's own kernels" in report.reasons
