"""What TFX tells an executor of the node that it runs for, seen in tfx 1.21."""

from tfx.dsl.components.base.base_executor import BaseExecutor


def node_id(executor: BaseExecutor) -> str:
    """Returns the id of the node that an executor runs for; empty when it runs without a pipeline."""
    node = executor._context.pipeline_node if executor._context is not None else None
    return str(node.node_info.id) if node is not None else ""
