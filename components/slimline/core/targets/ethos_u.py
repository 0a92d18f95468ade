"""Arm's Ethos-U NPUs beside a Cortex-M or Cortex-A, judged by Arm's own compiler.

Weights are encoded for the NPU without loss, and zeros and repeated values take fewer bits. So pruning and clustering
give less flash, and, where the memory that weights come from is what a layer waits for, less time.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slimline.core.isolation import IsolatedError, run_isolated
from slimline.core.targets.options import EthosUConfig
from slimline.core.targets.report import TargetReport, accelerated_share, place, summarize
from slimline.core.targets.vela import compile_for_npu, is_npu_operation
from slimline.core.tflite.graph import Operator, read_operators
from slimline.errors import ModelError

_TIME_LIMIT_S = 300
_MEMORY_LIMIT_BYTES = 8 << 30
_KIB = 1024
_MEMORIES = ("sram", "dram", "on_chip_flash", "off_chip_flash")


def judge(content: bytes, config: EthosUConfig) -> TargetReport:
    """Compiles a file for the NPU, and reports where each operation runs and what it all takes.

    The file runs when the NPU takes at least one operation; the CPU beside it computes the rest.

    Args:
      content: Bytes of a `.tflite` file.
      config: Which NPU, in which system.

    Raises:
      ConfigError: The compiler is not installed, or does not know the system.
    """
    operators = read_operators(content)
    arguments = (content, config.accelerator, config.system, config.memory)
    try:
        found: dict[str, Any] = run_isolated(
            compile_for_npu, *arguments, time_limit_s=_TIME_LIMIT_S, memory_limit_bytes=_MEMORY_LIMIT_BYTES
        )
    except IsolatedError as error:
        return _refused(operators, f"Arm's compiler {error.text}", config)
    except ModelError as error:
        return _refused(operators, error.found, config)
    compiled = read_operators(found["compiled"])
    on_cpu = {tensor.name for operator in compiled if not is_npu_operation(operator.op) for tensor in operator.outputs}
    left: Mapping[str, str] = found["left"]

    def unsupported_reason(operator: Operator) -> str:
        names = [tensor.name for tensor in operator.outputs]
        if not on_cpu.intersection(names):
            return ""
        return next((left[name] for name in names if name in left), "the compiler leaves it to the CPU")

    placements = place(operators, unsupported_reason)
    runs = any(is_npu_operation(operator.op) for operator in compiled)
    return TargetReport(
        "ethos_u",
        runs,
        accelerated_share(placements),
        placements,
        summarize(placements) if runs else ("no operation runs on the NPU", *summarize(placements)),
        f"Arm's compiler Vela {found['version']}",
        details={**_describe(config), **(_figures(found["summary"]) if runs else {})},
    )


def _describe(config: EthosUConfig) -> dict[str, Any]:
    return {
        "accelerator": config.accelerator,
        "system_config": config.system,
        "memory_mode": config.memory,
    }


def _figures(summary: Mapping[str, str]) -> dict[str, Any]:
    """Returns Vela's estimates in units of their own; the time is that of the NPU, without what the CPU computes."""
    used = {memory: round(float(summary[f"{memory}_memory_used"]) * _KIB) for memory in _MEMORIES}
    return {
        "npu_cycles": int(float(summary["cycles_total"])),
        "npu_latency_us": float(summary["inference_time"]) * 1e6,
        "sram_bytes": used["sram"],
        "dram_bytes": used["dram"],
        "flash_bytes": used["on_chip_flash"] + used["off_chip_flash"],
        "raw_weight_bytes": int(float(summary["total_original_weights"])),
        "encoded_weight_bytes": int(float(summary["total_npu_encoded_weights"])),
    }


def _refused(operators: tuple[Operator, ...], reason: str, config: EthosUConfig) -> TargetReport:
    placements = place(operators, lambda operator: reason)
    return replace(
        TargetReport("ethos_u", False, 0.0, placements, (reason,), "Arm's compiler Vela"), details=_describe(config)
    )
