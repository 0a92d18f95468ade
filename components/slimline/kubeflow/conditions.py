"""Whether a task with a condition runs: TFX's `Cond` compiles to an expression in CEL over the task's inputs."""

from typing import Any, TypeAlias

import cel

from slimline.errors import PipelineError

Json: TypeAlias = dict[str, Any]


def is_triggered(condition: str, executor_input: Json) -> bool:
    """Evaluates a condition as Kubeflow's driver does (kubeflow/pipelines 2.17, `backend/src/v2/expression`).

    Args:
      condition: As `inputs.artifacts['x'].artifacts[0].metadata['blessed'] == 1.0`.
      executor_input: What the task would be given.

    Raises:
      PipelineError: It can't be evaluated, or is neither true nor false.
    """
    inputs = executor_input["inputs"]
    given = {"inputs": {"artifacts": inputs["artifacts"], "parameter_values": inputs["parameterValues"]}}
    try:
        value = cel.evaluate(condition, given)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise PipelineError(
            f"the condition {condition}: {str(error).splitlines()[0]}",
            "an expression over what the task is given",
            "correct the Cond: the property that it asks for must be recorded by then",
        ) from None
    if not isinstance(value, bool):
        raise PipelineError(f"the condition {condition}, which is {value!r}", "true or false", "correct the Cond")
    return value
