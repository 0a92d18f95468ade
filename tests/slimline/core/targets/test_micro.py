import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from slimline.core.targets import micro
from slimline.core.targets.judging import judge_target
from slimline.core.targets.micro_resolver import resolver_lines
from slimline.core.targets.micro_run import run_in_litert, run_in_micro
from slimline.core.tflite.graph import read_operators
from slimline.errors import ConfigError
from tests.operators import operator
from tests.small_models import convert, small_model

LAYERS = tf_keras.layers
NOISE = {"x": np.random.default_rng(1).random((8, 9, 9, 2)).astype(np.float32)}


@pytest.fixture(scope="module")
def without_kernel():
    """A file with an operation that TFLite Micro does not have."""
    values = LAYERS.Input((8, 4), name="x")
    sums = LAYERS.Lambda(lambda rows: tf.math.segment_sum(rows[0], [0, 0, 0, 0, 1, 1, 1, 1])[None], name="y")(values)
    return convert(tf_keras.Model(values, sums), scheme="float32", static_batch=True)


@pytest.fixture(scope="module")
def recurrent():
    """A file that keeps its state in variables from one inference to the next."""
    words = LAYERS.Input((6, 3), name="x")
    model = tf_keras.Model(words, LAYERS.Dense(2, activation="softmax", name="y")(LAYERS.LSTM(4)(words)))
    return convert(model, scheme="int8", static_batch=True)


def by_hand(content: bytes, examples: np.ndarray) -> np.ndarray:
    """The reference kernels in a plain loop, which knows nothing of Slimline."""
    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (given,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = given["quantization"]
    rows = []
    for example in examples:
        stored = example if not scale else np.clip(np.round(example / scale) + zero_point, -128, 127)
        interpreter.reset_all_variables()
        interpreter.set_tensor(given["index"], stored[np.newaxis].astype(given["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(output["index"])[0])
    return np.array(rows)


@pytest.mark.slow
def test_a_file_is_really_run_in_processes_of_its_own(static_int8, capfd):
    report = judge_target("micro", static_int8, NOISE)
    assert (report.runs, report.accelerated_share, report.reasons) == (True, 1, ())
    assert report.arena_bytes
    assert report.max_difference is not None
    assert report.max_difference <= 1
    assert report.source == "TFLite Micro, run on this host"
    assert report.details["num_examples"] == 8
    assert report.details["decision_agreement"] == 1
    assert report.details["compared_with"] == "LiteRT's reference kernels"
    assert report.details["flash_bytes"] == len(static_int8)
    # A step of the output is many real units or few; the real difference says how many.
    assert report.details["max_difference_real"] == pytest.approx(report.max_difference * _output_scale(static_int8))
    assert "Arena" not in "".join(capfd.readouterr())


def _output_scale(content: bytes) -> float:
    return float(Interpreter(model_content=content).get_output_details()[0]["quantization"][0])


def test_litert_s_side_is_a_plain_loop_over_its_reference_kernels(static_int8, float32, recurrent):
    for content, inputs in ((static_int8, NOISE), (float32, NOISE), (recurrent, {"x": NOISE["x"][:, :6, :3, 0]})):
        found = run_in_litert(content, inputs, "reference")
        np.testing.assert_array_equal(found["outputs"][0], by_hand(content, inputs["x"]))


def test_state_does_not_go_from_one_example_to_the_next(recurrent):
    random = np.random.default_rng(2).random((5, 6, 3)).astype(np.float32)
    stored = run_in_litert(recurrent, {"x": random}, "reference")["inputs"]
    ahead, back = (run_in_micro(recurrent, [one])["outputs"][0] for one in (stored[0], stored[0][::-1]))
    np.testing.assert_array_equal(ahead, back[::-1])


def test_an_operation_without_a_kernel_is_refused_with_its_message(without_kernel):
    report = micro.judge(without_kernel)
    assert (report.runs, report.accelerated_share) == (False, 0)
    (reason,) = report.reasons
    assert "Didn't find op for builtin opcode 'SEGMENT_SUM'" in reason
    assert (report.arena_bytes, report.max_difference) == (None, None)


def test_several_inputs_and_outputs_are_each_their_own():
    right, left = LAYERS.Input((3,), name="right"), LAYERS.Input((3,), name="left")
    ends = [LAYERS.Subtract(name="y")([LAYERS.Dense(3)(right), left]), LAYERS.Add(name="z")([left, right])]
    content = convert(tf_keras.Model([right, left], ends), scheme="float32", static_batch=True)
    example = {"left": np.full((2, 3), 5, np.float32), "right": np.full((2, 3), -2, np.float32)}
    report = micro.judge(content, example)
    assert report.runs
    assert report.max_difference is None
    assert report.details["share_over_one_step"] == 0
    assert report.details["max_difference_real"] <= 1e-6


def test_the_arena_grows_with_the_model(static_int8):
    wide = convert(small_model(32), scheme="int8", static_batch=True)
    arenas = [run_in_micro(one, run_in_litert(one, {}, "reference")["inputs"])["arena_bytes"]
              for one in (static_int8, wide)]  # fmt: skip
    assert 0 < arenas[0] < arenas[1]


def test_steps_far_apart_with_the_same_decision_are_no_reason_to_refuse():
    wanted = np.array([[10, 90, 20], [80, 3, 1]], np.int8)
    given = np.array([[15, 84, 25], [76, 9, 2]], np.int8)
    difference = micro.compare([wanted], [given], [0.5])
    assert (difference.max_steps, difference.max_real, difference.decision_agreement) == (6, 3.0, 1)
    assert difference.share_over == pytest.approx(5 / 6)
    assert not micro._objection(difference)


def test_other_decisions_are():
    wanted = np.tile(np.array([[10, 90, 20]], np.int8), (16, 1))
    given = wanted.copy()
    given[0] = [90, 10, 20]
    difference = micro.compare([wanted], [given], [0.5])
    assert difference.decision_agreement == 15 / 16
    assert "decides otherwise than LiteRT in 6.2% of 16 example(s)" in micro._objection(difference)


def test_a_tie_within_a_step_is_no_other_decision():
    difference = micro.compare([np.array([[90, 89]], np.int8)], [np.array([[89, 90]], np.int8)], [1.0])
    assert difference.decision_agreement == 1


def test_values_without_decisions_are_judged_by_their_steps():
    wanted, given = np.zeros((4, 1), np.int8), np.array([[0], [0], [0], [7]], np.int8)
    difference = micro.compare([wanted], [given], [0.25])
    assert difference.decision_agreement is None
    assert "25.0% of its outputs are not LiteRT's" in micro._objection(difference)
    assert "1.75" in micro._objection(difference)


def test_the_resolver_lists_each_kind_of_operation_once(static_int8):
    first, *lines = resolver_lines(read_operators(static_int8))
    assert first == f"tflite::MicroMutableOpResolver<{len(lines)}> resolver;"
    assert "resolver.AddDepthwiseConv2D();" in lines
    # Names that TFLite Micro's header writes in a way of its own.
    odd = resolver_lines(
        [operator("UNIDIRECTIONAL_SEQUENCE_LSTM"), operator("BATCH_MATMUL"), operator("L2_NORMALIZATION")]
    )
    assert odd[1:] == ("resolver.AddBatchMatMul();", "resolver.AddL2Normalization();",
                       "resolver.AddUnidirectionalSequenceLSTM();")  # fmt: skip


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    with pytest.raises(ConfigError) as refused:
        run_in_micro(b"", [np.zeros((1, 1))])
    assert "slimline[micro]" in refused.value.remedy
