"""Compiles a pipeline and says what to do with the file."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from slimline.cli.pairs import pairs
from slimline.cli.terminal import terminal
from slimline.errors import ConfigError, PipelineError
from slimline.kubeflow.options import CompileOptions
from slimline.running.endings import ProcessFailedError
from slimline.running.process import Progress, execute
from slimline.running.request import Request


def compile_to_file(request: Request, options: CompileOptions) -> None:
    """Compiles into `request.output`.

    Raises:
      PipelineError: The file's name does not end as its format asks for, or its folder can't be written to.
    """
    output = Path(request.output).resolve()
    suffix = ".json" if options.format == "vertex" else ".yaml"
    if output.suffix != suffix:
        raise PipelineError(
            f"the output file {output.name}", f"a name ending in {suffix}", "rename it: no other is loaded"
        )
    if not output.parent.is_dir():
        raise PipelineError(f"no folder {output.parent}", "a folder that exists", "make it, or choose another")
    console = terminal(stderr=True)
    with tempfile.NamedTemporaryFile(prefix="slimline-compile-", suffix=".log", delete=False) as file:
        log = Path(file.name)
    with console.status("loading TensorFlow and TFX") as status:

        def show(progress: Progress) -> None:
            status.update(f"loading TensorFlow and TFX, compiling: {progress.seconds:.0f} s")

        try:
            execute(replace(request, output=str(output)), log, show)
        except ProcessFailedError:
            raise
        except BaseException:
            log.unlink()
            raise
    log.unlink()
    _say(console, f"Wrote {output}: {_NEXT[options.format].format(name=output.name)}")
    if options.has_mutable_tag:
        _say(
            console,
            f"Note: {options.image} names an image by its tag, and Kubeflow's cache knows the tag alone: after a new "
            "image of the same tag, old results are taken again. Name it by its digest, as IMAGE@sha256:...",
        )


_NEXT = {
    "kubeflow": "load it in Kubeflow, or submit it with slimline kubeflow submit {name}",
    "manifest": "apply it with kubectl apply -f {name}",
    "vertex": "submit it with aiplatform.PipelineJob(display_name=..., template_path={name!r}).submit()",
}


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False)


def parse_resources(text: str) -> tuple[str, dict[str, Any]]:
    """Splits `ID:cpu=4,memory=8Gi,gpu=1`.

    Raises:
      ConfigError: It is not of that form.
    """
    name, colon, listed = text.partition(":")
    if not colon or not name:
        raise ConfigError(f"--resources {text!r}", "ID:cpu=4,memory=8Gi,gpu=1", "write it so")
    values: dict[str, Any] = pairs(listed.split(","), "--resources", "ID:cpu=4,memory=8Gi,gpu=1")
    if not str(values.get("gpu", "0")).isdigit():
        raise ConfigError(f"--resources {text!r}", "a whole number of GPUs", "write it so")
    return name, values


def parse_key(text: str, option: str) -> dict[str, str]:
    """Splits `OBJECT:KEY`.

    Raises:
      ConfigError: It is not of that form.
    """
    name, colon, key = text.partition(":")
    if not colon:
        raise ConfigError(f"{option} ...={text!r}", "NAME=OBJECT:KEY", "write it so")
    return {"name": name, "key": key}


def parse_volume(text: str) -> dict[str, str]:
    """Splits `CLAIM:PATH`.

    Raises:
      ConfigError: It is not of that form.
    """
    claim, colon, path = text.partition(":")
    if not colon:
        raise ConfigError(f"--pvc {text!r}", "CLAIM:PATH, as data:/slimline", "write it so")
    return {"claim": claim, "path": path}


def parse_toleration(text: str) -> dict[str, str | None]:
    """Splits `KEY[=VALUE][:EFFECT]`."""
    rest, _, effect = text.partition(":")
    key, _, value = rest.partition("=")
    return {"key": key, "value": value or None, "effect": effect or None}
