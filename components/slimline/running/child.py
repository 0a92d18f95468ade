"""What the child process of a run does: it carries out one request.

It tells the plan first, then `progress` as components tell it. A user's mistake is raised as such, whatever the runner
wrapped it in.
"""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from slimline.core.isolation.child import tell
from slimline.errors import PipelineError, SlimlineError
from slimline.running.request import Request, load_pipeline
from slimline.shells import progress


class EndedError(Exception):
    """The process was told to end: an exception, so that TFX records what was running as failed."""


def carry_out(request: str) -> None:
    """Compiles or runs a pipeline.

    Args:
      request: JSON of a `Request`.

    Raises:
      SlimlineError: The user's mistake that stopped it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)
    try:
        _carry_out(Request.from_json(request))
    except Exception as error:
        mistake = _mistake_behind(error)
        if mistake is None or mistake is error:
            raise
        raise mistake from error


def _end(number: int, frame: FrameType | None) -> None:
    raise EndedError("the run was ended from outside")


def _carry_out(request: Request) -> None:
    if request.runner is None:
        from slimline.kubeflow.compile import compile_pipeline
        from slimline.kubeflow.options import CompileOptions
        from slimline.shells.tfx_internals import stores_untouched

        with stores_untouched():
            pipeline = load_pipeline(request)
        compile_pipeline(pipeline, Path(request.output), CompileOptions.from_json(request.options))
        return
    pipeline = load_pipeline(request)
    tell(_plan(pipeline))
    progress.listen(lambda node, text: tell({"event": "progress", "node": node, "text": text}))
    _runner(request.runner).run(pipeline)


def _mistake_behind(error: BaseException) -> SlimlineError | None:
    """Finds the user's mistake behind an exception: runners wrap what an executor raised."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, SlimlineError):
            return link
        link = link.__cause__ or link.__context__
    return None


def _runner(name: str) -> Any:
    if name == "beam":
        from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner

        return BeamDagRunner()
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    return LocalDagRunner()


def _plan(pipeline: Any) -> dict[str, Any]:
    """Says what will run and where it is recorded.

    Opening the store makes it when it is not there yet, so that the parent finds it.
    """
    from google.protobuf import json_format
    from ml_metadata.metadata_store.metadata_store import MetadataStore

    from slimline.lineage.runs import newest_run_id

    config = pipeline.metadata_connection_config
    if config is None:
        raise PipelineError(
            f"pipeline {pipeline.pipeline_info.pipeline_name!r} without metadata_connection_config",
            "a store for ML Metadata",
            "give the Pipeline metadata_connection_config=metadata.sqlite_metadata_connection_config(...)",
        )
    return {
        "event": "plan",
        "pipeline": pipeline.pipeline_info.pipeline_name,
        "nodes": [component.id for component in pipeline.components],
        "metadata": json_format.MessageToDict(config),
        "after": newest_run_id(MetadataStore(config)),
    }
