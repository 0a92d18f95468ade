"""Compiles a pipeline and says what to do with the file."""

import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from slimline.errors import PipelineError
from slimline.running.process import ProcessFailedError, Progress, execute
from slimline.running.request import Request


def compile_to_file(request: Request) -> None:
    """Compiles into `request.output`.

    Raises:
      PipelineError: The file's name does not end in `.yaml`, or its folder can't be written to.
    """
    output = Path(request.output).resolve()
    if output.suffix != ".yaml":
        raise PipelineError(f"the output file {output.name}", "a name ending in .yaml", "rename it: kfp loads no other")
    if not output.parent.is_dir():
        raise PipelineError(f"no folder {output.parent}", "a folder that exists", "make it, or choose another")
    console = Console(stderr=True, highlight=False)
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
    console.print(f"Wrote {output}: load it in Kubeflow, or submit it with", soft_wrap=True, markup=False)
    console.print(
        f"  kfp.Client().create_run_from_pipeline_package({output.name!r}, pipeline_root='URI that TFX can open')",
        soft_wrap=True,
        markup=False,
    )
