"""What the command line asks of the child process, and how a pipeline is found."""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from slimline.errors import PipelineError, near_miss
from slimline.running.pipelines import find_pipeline, installed_names

Runner = Literal["local", "beam"]


@dataclass(frozen=True)
class Request:
    """One job for the child.

    Attributes:
      pipeline: A name that an installed package offers, as `digits`, or `package.module:function`.
      root: Folder for everything the pipeline writes; for a compiled pipeline a folder or URI that its containers see.
      runner: Who runs it; None compiles it instead.
      output: File to compile into.
      options: JSON of a compiled pipeline's `CompileOptions`.
    """

    pipeline: str
    root: str
    runner: Runner | None = None
    output: str = ""
    options: str = ""

    def to_json(self) -> str:
        """Returns the request as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Request":
        """Reads what `to_json` wrote."""
        return cls(**json.loads(text))


def check_name(pipeline: str) -> None:
    """Checks, without importing anything heavy, that a pipeline's name can be right.

    Raises:
      PipelineError: It is neither a known name nor of the form `package.module:function`.
    """
    module, colon, function = pipeline.partition(":")
    if (colon and module and function and not module.startswith(".")) or find_pipeline(pipeline):
        return
    names = installed_names()
    raise PipelineError(
        f"a pipeline named {pipeline!r}",
        f"one of {', '.join(names) or 'none that are installed'}, or package.module:function",
        f"correct the name.{near_miss(pipeline, names)}",
    )


def load_pipeline(request: Request) -> Any:
    """Calls the function that creates the pipeline, after it wrote the data that it ships with when it is to run.

    Returns:
      A `tfx.orchestration.pipeline.Pipeline`.

    Raises:
      PipelineError: The function can't be found, or returns something else.
    """
    check_name(request.pipeline)
    named = None if ":" in request.pipeline else find_pipeline(request.pipeline)
    if named is not None and named.prepare and request.runner is not None:
        _load(named.prepare)(Path(request.root))
    path = named.create if named is not None else request.pipeline
    pipeline = _load(path)(request.root)
    if not hasattr(pipeline, "pipeline_info"):
        raise PipelineError(
            f"{path} returned {type(pipeline).__name__}",
            "a tfx.orchestration.pipeline.Pipeline",
            "return the pipeline from the function",
        )
    return pipeline


def _load(path: str) -> Callable[[Any], Any]:
    module_name, _, function_name = path.partition(":")
    # A pipeline of one's own lies in the folder from which the command is called.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise PipelineError(
            f"no module {error.name!r}, which {path} needs",
            "a module that Python can import from here",
            "call the command from the folder that holds the package, or install it",
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise PipelineError(
            f"no function {function_name!r} in {module_name}",
            "a function that takes the root folder and returns a pipeline",
            f"correct the name.{near_miss(function_name, known)}",
        )
    return function
