"""What TFX does not promise to keep, seen in tfx 1.21: an executor's node, and how a store is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.orchestration import metadata


def node_id(executor: BaseExecutor) -> str:
    """Returns the id of the node that an executor runs for; empty when it runs without a pipeline."""
    node = executor._context.pipeline_node if executor._context is not None else None
    return str(node.node_info.id) if node is not None else ""


def run_id(executor: BaseExecutor) -> str:
    """Returns the runner's name for the run that an executor belongs to; empty when it runs without a pipeline."""
    context = executor._context
    return str(getattr(context, "pipeline_run_id", None) or "") if context is not None else ""


@contextmanager
def stores_untouched() -> Iterator[None]:
    """Lets a pipeline name its store without making it, as for a root that is not here.

    `sqlite_metadata_connection_config` makes the folder at once, which for a `gs://` root fails after half a minute.
    """
    original = metadata.fileio
    metadata.fileio = SimpleNamespace(makedirs=lambda path: None)
    try:
        yield
    finally:
        metadata.fileio = original
