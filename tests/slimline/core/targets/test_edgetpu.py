import pytest

from slimline.core.targets import edgetpu
from tests.operators import constant, data, operator

IMAGE, VECTOR = data(1, 8, 8, 4), data(1, 16)

# As version 16.0 of the compiler writes it.
LOG = """\
Edge TPU Compiler version 16.0.384591198
Input: model.tflite
Output: model_edgetpu.tflite

Operator                       Count      Status

CONV_2D                        3          Mapped to Edge TPU
RESHAPE                        1          Operation is otherwise supported, but not mapped due to some unspecified limitation
FULLY_CONNECTED                2          Mapped to Edge TPU
FULLY_CONNECTED                1          More than one subgraph is not supported
SOFTMAX                        1          Max 16000 elements supported
"""  # noqa: E501


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch, tmp_path):
    """Whatever is installed: by default the compiler is not found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install_compiler(folder, script):
    """Puts a script in the compiler's place."""
    path = folder / edgetpu.COMPILER
    path.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")
    path.chmod(0o755)


def test_int8_with_a_fixed_batch_runs_there_wholly(static_int8):
    report = edgetpu.judge(static_int8)
    assert (report.runs, report.accelerated_share, report.reasons) == (True, 1, ())
    assert "edgetpu_compiler is not on the path" in report.source


def test_an_open_batch_is_refused_with_what_to_do(open_int8):
    report = edgetpu.judge(open_int8)
    assert (report.runs, report.accelerated_share) == (False, 0)
    assert "its batch is open: quantize with static_batch=True" in report.reasons[0]


def test_a_float_file_is_refused(float32):
    report = edgetpu.judge(float32)
    assert (report.runs, report.accelerated_share) == (False, 0)
    assert len(report.reasons) == 1
    assert report.reasons[0].endswith(": its tensors are not all of 8 bits")


def test_float_ends_leave_everything_to_the_cpu(float_ends):
    report = edgetpu.judge(float_ends)
    assert (report.runs, report.accelerated_share) == (False, 0)
    assert report.reasons[0] == "QUANTIZE, DEQUANTIZE: its tensors are not all of 8 bits"
    assert "it comes after an operation that runs on the CPU" in report.reasons[1]


def test_everything_after_an_operation_that_it_does_not_have_runs_on_the_cpu(monkeypatch):
    operators = (operator("CONV_2D", macs=5), operator("CUMSUM", macs=0), operator("CONV_2D", macs=15), operator("ADD"))
    monkeypatch.setattr(edgetpu, "read_operators", lambda content: operators)
    report = edgetpu.judge(b"")
    assert (report.runs, report.accelerated_share) == (True, 0.25)
    assert report.reasons == (
        "CUMSUM: the Edge TPU does not have it",
        "CONV_2D, ADD: it comes after an operation that runs on the CPU",
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (operator("MAX_POOL_2D", activation="RELU"), "it has a fused activation"),
        (operator("AVERAGE_POOL_2D", activation="RELU6"), "it has a fused activation"),
        (operator("CONCATENATION", activation="RELU"), "it has a fused activation"),
        (operator("CONV_2D", dilationWFactor=1, dilationHFactor=2), "its dilation differs between x and y"),
        (operator("DEPTHWISE_CONV_2D", dilationWFactor=4, dilationHFactor=2), "its dilation differs between x and y"),
        (operator("FULLY_CONNECTED", [IMAGE, constant(4, 4)], [IMAGE]), "its output has more than one dimension"),
        (operator("SOFTMAX", [data(1, 3, 4)], [data(1, 3, 4)]), "its input has more than one dimension"),
        (operator("SOFTMAX", [data(1, 16_001)], [data(1, 16_001)]), "or more than 16,000 values"),
        (operator("MEAN", [data(2, 8)], [data(1, 8)]), "it reduces over the batch"),
        (operator("MEAN", [data(1, 8, 8, 6)], [data(1, 8, 8, 1)]), "a reduction over a depth that is no multiple of 4"),
        (operator("PACK", [data(1, 8)], [data(2, 1, 8)]), "it works on the batch dimension"),
        (operator("SPLIT", [data(2, 8)], [data(1, 8)]), "it works on the batch dimension"),
        (operator("PRELU", [IMAGE, constant(8, 8, 4)]), "its alpha has more than one dimension"),
        (operator("ADD", [data(1, 2, 3, 4, 5)], [data(1, 2, 3, 4, 5)]), "more than the three innermost dimensions"),
        (operator("ADD", [data(1, 8, is_dynamic=True)]), "its shape is not fixed"),
        (operator("ADD", [data(1, 8, has_open_batch=True)]), "its batch is open"),
        (operator("ADD", [data(1, 8, dtype="int16")]), "its tensors are not all of 8 bits"),
        (operator("CUMSUM"), "the Edge TPU does not have it"),
    ],
)
def test_an_operation_outside_of_its_limits_is_refused_with_the_reason(given, reason):
    assert reason in edgetpu.unsupported_reason(given)


@pytest.mark.parametrize(
    "given",
    [
        operator("MAX_POOL_2D"),
        operator("CONV_2D", activation="RELU", dilationWFactor=2, dilationHFactor=2),
        operator("CONV_2D", [IMAGE, constant(4, 3, 3, 4), constant(4, dtype="int32")]),
        operator("FULLY_CONNECTED", [VECTOR, constant(4, 16)], [data(1, 4)], activation="RELU"),
        operator("SOFTMAX", [data(1, 16_000)], [data(1, 16_000)]),
        operator("MEAN", [IMAGE], [data(1, 4)]),
        operator("MEAN", [IMAGE], [data(1, 8, 8, 1)]),
        operator("PRELU", [IMAGE, constant(1, 1, 4)]),
        operator("QUANTIZE", [data(1, 4, dtype="uint8")], [data(1, 4)]),
        operator("PAD", [IMAGE, constant(4, 2, dtype="int32")], [data(1, 10, 10, 4)]),
        operator("UNIDIRECTIONAL_SEQUENCE_LSTM"),
    ],
)
def test_an_operation_within_its_limits_is_taken(given):
    assert edgetpu.unsupported_reason(given) == ""


def test_the_log_is_read_by_operation_with_what_is_said_of_those_left():
    rows = edgetpu.read_log(LOG)
    assert rows["CONV_2D"] == (3, "")
    assert rows["FULLY_CONNECTED"] == (2, "More than one subgraph is not supported")
    assert rows["RESHAPE"][0] == 0
    assert rows["RESHAPE"][1].startswith("Operation is otherwise supported")
    assert set(rows) == {"CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"}
    assert edgetpu.read_log("") == {}


def test_the_compiler_s_log_decides_where_it_is_installed(no_compiler, static_int8, tmp_path):
    status = "Mapped to Edge TPU"
    rows = ["CONV_2D 1", "DEPTHWISE_CONV_2D 1", "TRANSPOSE_CONV 1", "RESHAPE 1"]
    written = "\n".join([*(f"{row} {status}" for row in rows), "FULLY_CONNECTED 1 Filter is too large"])
    install_compiler(
        no_compiler,
        f'echo "$@" > {tmp_path}/arguments\ncp "$4" {tmp_path}/given\n'
        f'cat > "$3/model_edgetpu.log" <<END\n{written}\nEND',
    )
    report = edgetpu.judge(static_int8)
    assert (report.runs, report.source) == (True, "edgetpu_compiler's own log")
    assert report.reasons == ("FULLY_CONNECTED: Filter is too large",)
    work = {one.op: one.macs for one in report.placements}
    assert report.accelerated_share == pytest.approx(1 - work["FULLY_CONNECTED"] / sum(work.values()))
    assert (tmp_path / "arguments").read_text().startswith("-s -o ")
    assert (tmp_path / "given").read_bytes() == static_int8


def test_of_several_of_one_kind_the_first_are_those_that_are_mapped(no_compiler, monkeypatch):
    operators = (operator("CONV_2D"), operator("CONV_2D"), operator("CONV_2D"), operator("ADD"))
    monkeypatch.setattr(edgetpu, "read_operators", lambda content: operators)
    lines = "CONV_2D  2  Mapped to Edge TPU\\nCONV_2D  1  Too large\\n"
    install_compiler(no_compiler, f'printf "{lines}" > "$3/model_edgetpu.log"')
    report = edgetpu.judge(b"")
    assert [one.reason for one in report.placements] == ["", "", "Too large", "the compiler does not mention it"]


def test_a_file_that_the_compiler_refuses_does_not_run_there(no_compiler, open_int8):
    install_compiler(no_compiler, 'echo "Edge TPU Compiler version 16.0"; echo "Model not quantized" >&2; exit 1')
    report = edgetpu.judge(open_int8)
    assert (report.runs, report.accelerated_share, report.reasons) == (False, 0, ("Model not quantized",))
    assert not [one for one in report.placements if one.is_accelerated]


def test_a_compiler_that_says_nothing_is_told_to_have_said_nothing(no_compiler, static_int8):
    install_compiler(no_compiler, "exit 1")
    assert edgetpu.judge(static_int8).reasons == ("no message",)


def test_a_compiler_that_hangs_is_stopped(no_compiler, static_int8, monkeypatch):
    monkeypatch.setattr(edgetpu, "_TIME_LIMIT_S", 0.2)
    install_compiler(no_compiler, "exec sleep 60")
    assert edgetpu.judge(static_int8).reasons == ("edgetpu_compiler did not finish in 0.2 s",)


def test_nothing_of_the_compiler_is_left_behind(no_compiler, static_int8, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    install_compiler(no_compiler, 'echo "CONV_2D 1 Mapped to Edge TPU" > "$3/model_edgetpu.log"')
    edgetpu.judge(static_int8)
    assert not list((tmp_path / "temporary").iterdir())
