"""What TFX tells an executor of the node that it runs for, seen in tfx 1.21."""

from collections.abc import Sequence

from tfx.dsl.components.base.base_executor import BaseExecutor


def node_id(executor: BaseExecutor) -> str:
    """Returns the id of the node that an executor runs for; empty when it runs without a pipeline."""
    node = executor._context.pipeline_node if executor._context is not None else None
    return str(node.node_info.id) if node is not None else ""


def run_in_container(arguments: Sequence[str]) -> None:
    """Runs one component as TFX's own container entry point does.

    Args:
      arguments: Of that entry point; TFX itself parses the program's name too, and takes it for a Beam option.
    """
    # Imported here: it sets up logging for the whole process.
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    kubeflow_v2_run_executor.main(kubeflow_v2_run_executor._parse_flags(list(arguments)))
