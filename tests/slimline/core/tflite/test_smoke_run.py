import numpy as np
import pytest

from slimline.core.isolation import IsolatedError
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.tflite.runtime import TFLiteModel
from slimline.core.tflite.smoke_run import find_failing_operation, invoke_prefix, run_smoke_test
from slimline.errors import ModelError
from tests import handmade

ROWS = {"x": np.ones((2, 4), np.float32)}
IMAGES = {"x": np.ones((2, 4, 4, 1), np.float32)}


@pytest.mark.parametrize(
    ("content", "inputs"),
    [(handmade.convolution(1), IMAGES), (handmade.reshape(4), ROWS), (handmade.gather(3), ROWS)],
    ids=["convolution", "reshape", "gather"],
)
def test_a_file_that_runs_gives_its_outputs(content, inputs):
    (tried,) = run_smoke_test(content, "file", inputs, time_limit_s=60).values()
    (here,) = TFLiteModel(content, "file").predict(inputs).values()
    assert np.array_equal(tried, here)
    assert find_failing_operation(content, inputs) is None


@pytest.mark.parametrize(
    ("content", "inputs", "operation"),
    [
        (handmade.convolution(0), IMAGES, r"CONV_2D \(conv\)"),
        (handmade.reshape(5), ROWS, r"RESHAPE \(reshaped\)"),
        (handmade.gather(1_000_000), ROWS, r"GATHER \(gathered\)"),
    ],
    ids=["convolution", "reshape", "gather"],
)
def test_an_operation_that_fails_is_named(content, inputs, operation):
    with pytest.raises(ModelError, match=f"file .*, at {operation}") as refused:
        run_smoke_test(content, "file", inputs, time_limit_s=60)
    assert refused.value.expected == "a file whose operations LiteRT runs"


def test_a_file_that_is_too_slow_is_refused_with_the_limit(converted, digits):
    many = {"image": np.concatenate([digits[0]] * 200)}
    with pytest.raises(ModelError, match=r"slow, which did not finish in 0\.2 s on 120000 records") as refused:
        run_smoke_test(converted["float32"], "slow", many, time_limit_s=0.2)
    assert "time_limit_s" in refused.value.remedy


def crash(function, content, *arguments, time_limit_s):
    """Stands for a kernel that aborts: a file with more than one operation crashes."""
    if function is invoke_prefix and arguments[0] < 2:
        return
    raise IsolatedError("crash", "crashed with SIGFPE", "loading\nF0000 conv.cc: check failed")


def test_a_kernel_that_crashes_is_named_with_its_last_words(monkeypatch):
    monkeypatch.setattr("slimline.core.tflite.smoke_run.run_isolated", crash)
    with pytest.raises(ModelError) as refused:
        run_smoke_test(handmade.convolution(1), "file", IMAGES, time_limit_s=60)
    assert refused.value.found == (
        "file crashed with SIGFPE when it ran, at CONV_2D (conv). It printed: F0000 conv.cc: check failed"
    )


def test_a_prefix_of_a_file_runs_as_far_as_it_goes(converted, digits):
    inputs = {"image": digits[0][:1]}
    for number in range(1, 7):
        invoke_prefix(converted["int8"], number, inputs)
    invoke_prefix(handmade.gather(1_000_000), 1, {"x": np.ones((1, 4), np.float32)})
    with pytest.raises(ModelError, match="gather index out of bounds"):
        invoke_prefix(handmade.gather(1_000_000), 2, {"x": np.ones((1, 4), np.float32)})


def test_inputs_are_fed_by_name(many, many_inputs):
    content = quantize(many, QuantizationConfig(scheme="float32"))
    outputs = run_smoke_test(content, "many", many_inputs, time_limit_s=60)
    assert outputs["two"] == pytest.approx(many(many_inputs)[0].numpy(), abs=1e-5)
    beyond = {**many_inputs, "ids": np.full_like(many_inputs["ids"], 1_000_000)}
    with pytest.raises(ModelError, match=r"many failed while it ran.*, at GATHER \("):
        run_smoke_test(content, "many", beyond, time_limit_s=60)
