"""Arm's own compiler for Ethos-U NPUs, run on a file: the package ethos-u-vela (Apache-2.0).

For a process of its own: the compiler has ended with SIGFPE on a file that it does not know.
"""

import csv
import re
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from slimline.core.targets.native_output import captured
from slimline.errors import ConfigError, ModelError

_WARNING = re.compile(r"^Warning \(supported operators\) operator: (\S+), ofm: '(.*)'$")
_REASON = "Reason: "
_NPU_OPERATION = "ethos-u"


def compile_for_npu(content: bytes, accelerator: str, system_config: str, memory_mode: str) -> dict[str, Any]:
    """Compiles a file, and returns what the compiler says of it.

    Args:
      content: Bytes of a `.tflite` file.
      accelerator: As `ethos-u55-128`.
      system_config: A section of Vela's `Arm/vela.ini`.
      memory_mode: Another one.

    Returns:
      `compiled`, the bytes of the compiled file; `summary`, the row of Vela's summary as text by column; `left`, for
      each tensor that the CPU computes, why; `version` of the compiler.

    Raises:
      ConfigError: Vela is not installed, or does not know the system.
      ModelError: It can't compile the file; the message is its own.
    """
    try:
        import ethosu
        from ethosu.vela import vela
    except ImportError as error:
        raise ConfigError(
            "the target 'ethos_u' without Arm's compiler", "the package ethos-u-vela", "install slimline[ethos-u]"
        ) from error
    settings = Path(ethosu.__path__[0]) / "config_files" / "Arm" / "vela.ini"
    _require_section(settings.read_text(), system_config, memory_mode)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.tflite"
        source.write_bytes(content)
        arguments = [str(source), "--accelerator-config", accelerator, "--config", str(settings)]
        arguments += ["--system-config", system_config, "--memory-mode", memory_mode, "--output-dir", folder]
        failure = ""
        with captured(1, 2) as printed:
            try:
                code = vela.main(arguments)
            except SystemExit as ended:
                code = ended.code
            # Whatever it ends with is its verdict on the file.
            except Exception as error:  # noqa: BLE001
                code, failure = 1, f"{type(error).__name__}: {error}"
        text = printed[0]
        summaries = list(Path(folder).glob("model_summary_*.csv"))
        compiled = Path(folder) / "model_vela.tflite"
        if code or failure or not summaries or not compiled.is_file():
            raise ModelError(
                f"Vela {version('ethos-u-vela')} can't compile it: {failure or _last_words(text)}",
                "a file that it compiles",
                "choose scheme='int8'",
            )
        with summaries[0].open() as stream:
            summary = next(csv.DictReader(stream))
        return {
            "compiled": compiled.read_bytes(),
            "summary": dict(summary),
            "left": read_warnings(text),
            "version": version("ethos-u-vela"),
        }


def read_warnings(printed: str) -> dict[str, str]:
    """Returns why operations are left to the CPU, by the name of the tensor that each computes."""
    left: dict[str, str] = {}
    tensor = ""
    for line in printed.splitlines():
        if warning := _WARNING.match(line):
            tensor = warning[2]
        elif tensor and line.startswith(_REASON):
            left[tensor] = line.removeprefix(_REASON)
            tensor = ""
    return left


def is_npu_operation(op: str) -> bool:
    """Returns whether an operation of a compiled file is a command stream for the NPU."""
    return op == _NPU_OPERATION


def _require_section(settings: str, system_config: str, memory_mode: str) -> None:
    known = re.findall(r"^\[(\S+)\]", settings, re.MULTILINE)
    for kind, name in (("System_Config", system_config), ("Memory_Mode", memory_mode)):
        if f"{kind}.{name}" not in known:
            names = [one.partition(".")[2] for one in known if one.startswith(kind)]
            raise ConfigError(
                f"{name!r}, which Vela's Arm/vela.ini does not have", f"one of {', '.join(names)}", "correct its name"
            )


def _last_words(text: str) -> str:
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(said[-2:]) or "it said nothing"
