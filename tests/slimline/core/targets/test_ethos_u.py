import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tf_keras

from slimline.core.targets.judging import judge_target
from slimline.core.targets.options import EthosUConfig
from slimline.core.targets.vela import read_warnings
from slimline.errors import ConfigError
from tests.small_models import convert, small_model

LAYERS = tf_keras.layers


def compile_by_hand(content: bytes, folder: Path, *options: str) -> dict[str, str]:
    """Vela's own command line."""
    (folder / "f.tflite").write_bytes(content)
    command = [sys.executable, "-m", "ethosu.vela", "f.tflite", "--output-dir", ".", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (summary,) = folder.glob("f_summary_*.csv")
    with summary.open() as stream:
        return next(csv.DictReader(stream))


def test_the_figures_are_those_of_vela_s_own_command(static_int8, tmp_path):
    report = judge_target("ethos_u", static_int8)
    assert (report.target, report.runs, report.accelerated_share, report.reasons) == ("ethos_u", True, 1, ())
    # Told the accelerator alone, Vela takes the system that we name.
    row = compile_by_hand(static_int8, tmp_path, "--accelerator-config", "ethos-u55-128")
    details = report.details
    assert (details["system_config"], details["memory_mode"]) == (row["system_config"], row["memory_mode"])
    assert details["npu_cycles"] == int(row["cycles_total"])
    assert details["npu_latency_us"] == pytest.approx(float(row["inference_time"]) * 1e6)
    assert details["sram_bytes"] == float(row["sram_memory_used"]) * 1024
    assert details["flash_bytes"] == float(row["off_chip_flash_memory_used"]) * 1024
    assert details["encoded_weight_bytes"] == int(row["total_npu_encoded_weights"])
    assert details["raw_weight_bytes"] == int(row["total_original_weights"])


@pytest.mark.parametrize("accelerator", ["ethos-u65-256", "ethos-u85-256"])
def test_other_accelerators_get_the_system_that_vela_would_take(static_int8, tmp_path, accelerator):
    details = judge_target("ethos_u", static_int8, None, EthosUConfig(accelerator=accelerator)).details
    row = compile_by_hand(static_int8, tmp_path, "--accelerator-config", accelerator)
    assert (details["accelerator"], details["npu_cycles"]) == (accelerator, int(row["cycles_total"]))
    assert (details["system_config"], details["memory_mode"]) == (row["system_config"], row["memory_mode"])


def test_zeros_take_less_of_the_flash():
    dense, sparse = small_model(32), small_model(32)
    random = np.random.default_rng(0)
    for layer, other in zip(dense.layers, sparse.layers, strict=True):
        weights = layer.get_weights()
        other.set_weights([w * (random.random(w.shape) > 0.9) if w.ndim > 1 else w for w in weights])
    files = [convert(model, scheme="int8", static_batch=True) for model in (dense, sparse)]
    one, other = (judge_target("ethos_u", content).details for content in files)
    assert other["raw_weight_bytes"] == one["raw_weight_bytes"]
    assert other["encoded_weight_bytes"] < 0.7 * one["encoded_weight_bytes"]
    assert other["flash_bytes"] < one["flash_bytes"]


def test_what_stays_on_the_cpu_is_named_with_the_reason(int16x8, float32):
    report = judge_target("ethos_u", int16x8)
    assert report.runs
    left = {one.op: one.reason for one in report.placements if not one.is_accelerated}
    assert set(left) == {"QUANTIZE", "DEQUANTIZE"}
    assert "Float32" in left["QUANTIZE"]
    report = judge_target("ethos_u", float32)
    assert (report.runs, report.accelerated_share) == (False, 0)
    assert report.reasons[0] == "no operation runs on the NPU"
    assert "npu_cycles" not in report.details


def test_a_file_that_ends_the_compiler_is_refused_and_ends_nothing_else():
    report = judge_target("ethos_u", _int4())
    assert not report.runs
    assert report.reasons


def _int4() -> bytes:
    """Weights of 4 bits, on which the compiler died with SIGFPE."""
    litert_quantizer = pytest.importorskip("litert_quantizer")
    quantizer = litert_quantizer.quantizer.Quantizer(convert(small_model(), scheme="float32", static_batch=True))
    quantizer.update_quantization_recipe(
        regex=".*",
        operation_name="*",
        op_config=litert_quantizer.qtyping.OpQuantizationConfig(
            weight_tensor_config=litert_quantizer.qtyping.TensorQuantizationConfig(num_bits=4),
            compute_precision=litert_quantizer.qtyping.ComputePrecision.INTEGER,
        ),
    )
    return bytes(quantizer.quantize().quantized_model)


def test_a_system_that_is_not_known_is_refused(static_int8):
    with pytest.raises(ConfigError, match="system_config that begins with Ethos_U55_"):
        EthosUConfig(system_config="Ethos_U65_High_End")
    with pytest.raises(ConfigError, match=r"which Vela's Arm/vela\.ini does not have"):
        judge_target("ethos_u", static_int8, None, EthosUConfig(system_config="Ethos_U55_Nowhere"))


def test_warnings_are_read_with_the_first_line_of_their_reason():
    printed = "\n".join([
        "Warning (supported operators) operator: RELU, ofm: 'a;b'", "Reason: Unsupported", "more of it", "",
        "Warning (supported operators) operator: ADD, ofm: 'c'", "Reason: Other",
    ])  # fmt: skip
    assert read_warnings(printed) == {"a;b": "Unsupported", "c": "Other"}
