"""Executors of components that train, run on artifacts made by hand, and what they tell meanwhile."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact

from slimline import ExamplesConfig
from slimline.core.config import Config
from slimline.names import file_names
from slimline.shells import progress
from tests.artifacts import output


def run_executor(
    executor: type[BaseExecutor],
    key: str,
    inputs: dict[str, list[Artifact]],
    folder: Path,
    config: Config,
    data: ExamplesConfig,
) -> Artifact:
    """Runs an executor as the node `key`; the model goes to `folder/key` and the logs to `folder/key-run`."""
    node = pipeline_pb2.PipelineNode(node_info=pipeline_pb2.NodeInfo(id=key))
    written = output(standard_artifacts.Model, folder / key)
    log = output(standard_artifacts.ModelRun, folder / f"{key}-run")
    properties = {"config": config.to_json(), "data": data.to_json()}
    context = BaseExecutor.Context(pipeline_node=node)
    executor(context).Do(inputs, {key: [written], "model_run": [log]}, properties)
    return written


@contextmanager
def listening() -> Iterator[list[tuple[str, str]]]:
    """Gives the list of (node, text) that is told while the context lasts."""
    told: list[tuple[str, str]] = []
    progress.listen(lambda node, text: told.append((node, text)))
    try:
        yield told
    finally:
        progress._listeners.pop()


def gains(folder: Path) -> dict[str, Any]:
    """Reads the file of gains beside a model."""
    content: dict[str, Any] = json.loads((folder / file_names.GAINS).read_text())
    return content


def event_files(folder: Path, key: str) -> list[Path]:
    """Returns TensorBoard's files of the node `key`."""
    return list((folder / f"{key}-run").rglob("events.out.tfevents.*"))
