"""The child process: `python -m slimline.running.child REQUEST`.

It writes one JSON object per line to what was its standard output: first the plan, then `progress` as components tell
it, at the end `done` or `error`.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import IO, Any

from slimline.errors import PipelineError, SlimlineError
from slimline.running.request import Request, load_pipeline
from slimline.shells import progress


def main() -> None:
    """Carries out one request."""
    # Whatever else is printed, by C++ code too, goes where standard error goes: to the log file.
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        _carry_out(Request.from_json(sys.argv[1]), events)
    # The parent must hear of every end; the traceback is in the log.
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        _send(events, _describe(error))
        sys.exit(1)
    _send(events, {"event": "done"})


def _carry_out(request: Request, events: IO[str]) -> None:
    if request.runner is None:
        from slimline.kubeflow.compile import compile_pipeline
        from slimline.kubeflow.options import CompileOptions
        from slimline.shells.tfx_internals import stores_untouched

        with stores_untouched():
            pipeline = load_pipeline(request)
        compile_pipeline(pipeline, Path(request.output), CompileOptions.from_json(request.options))
        return
    pipeline = load_pipeline(request)
    _send(events, _plan(pipeline))
    progress.listen(lambda node, text: _send(events, {"event": "progress", "node": node, "text": text}))
    _runner(request.runner).run(pipeline)


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


def _describe(error: BaseException) -> dict[str, Any]:
    """Finds the user's mistake behind an exception: runners wrap what an executor raised."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, SlimlineError):
            return {"event": "error", "kind": type(link).__name__, "parts": [link.found, link.expected, link.remedy]}
        link = link.__cause__ or link.__context__
    return {"event": "error", "kind": "", "parts": [traceback.format_exception_only(error)[-1].strip()]}


def _send(events: IO[str], event: dict[str, Any]) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


if __name__ == "__main__":
    main()
