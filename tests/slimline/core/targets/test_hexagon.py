import pytest

from slimline.core.targets import hexagon
from tests.operators import constant, data, operator

IMAGE = data(1, 8, 8, 4)


def depthwise(width=3, **options):
    return operator("DEPTHWISE_CONV_2D", [IMAGE, constant(1, 3, width, 4)], **options)


def test_int8_runs_there_wholly(static_int8):
    report = hexagon.judge(static_int8)
    assert (report.target, report.runs, report.accelerated_share, report.reasons) == ("hexagon", True, 1, ())


def test_a_float_file_does_not_run_there(float32):
    report = hexagon.judge(float32)
    assert (report.runs, report.accelerated_share) == (False, 0)
    assert report.reasons[0].endswith(": its tensors are not all of 8 bits")


def test_float_ends_cost_nothing_but_themselves(float_ends):
    report = hexagon.judge(float_ends)
    assert (report.runs, report.accelerated_share) == (True, 1)
    assert report.reasons == ("QUANTIZE, DEQUANTIZE: its tensors are not all of 8 bits",)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (operator("AVERAGE_POOL_2D", activation="RELU"), "it has a fused activation"),
        (operator("CONV_2D", strideW=1, strideH=4), "its stride is over 3"),
        (operator("TRANSPOSE_CONV", strideW=4, strideH=1), "its stride is over 3"),
        (depthwise(5), "its filter is not 3 wide"),
        (depthwise(depthMultiplier=2), "its depth multiplier is not 1"),
        (depthwise(dilationWFactor=2, strideW=2), "dilation together with a stride"),
        (depthwise(strideH=4), "its stride is over 3"),
        (operator("RESIZE_BILINEAR", outputs=[data(1, 66, 8, 4)]), "its size is over 65"),
        (operator("ADD", [data(1, 2, 2, 2, 2)]), "more than 4 dimensions"),
        (operator("ADD", [data(1, 8, is_dynamic=True)]), "its shape is not fixed"),
        (operator("CUMSUM"), "the delegate does not have it"),
    ],
)
def test_an_operation_outside_of_its_limits_is_refused_with_the_reason(given, reason):
    assert hexagon.unsupported_reason(given) == reason


@pytest.mark.parametrize(
    "given",
    [
        operator("MAX_POOL_2D"),
        operator("CONV_2D", strideW=3, strideH=3, activation="RELU"),
        depthwise(strideW=3, strideH=3),
        depthwise(dilationWFactor=2, dilationHFactor=2),
        operator("RESIZE_BILINEAR", outputs=[data(1, 65, 65, 4)]),
        operator("QUANTIZE", [data(1, 4, dtype="uint8")]),
        operator("ADD", [data(1, 8, has_open_batch=True)]),
    ],
)
def test_an_operation_within_its_limits_is_taken(given):
    assert hexagon.unsupported_reason(given) == ""
