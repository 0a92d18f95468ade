"""What runs in every container of a compiled pipeline: `python -m slimline.kubeflow.entrypoint`.

It takes the arguments of TFX's own entry point, and calls that, with what Kubeflow gives put right on the way in
(`executor_input.adapt`) and on the way out (`executor_input.restore`).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from slimline.kubeflow.executor_input import Adapted, adapt, restore

# How a compiled container starts it.
COMMAND = ("python", "-m", "slimline.kubeflow.entrypoint")
CLASS_OPTION = "--executor_class_path"
_INPUT = "--json_serialized_invocation_args"
_SPEC = "--json_serialized_inputs_spec_args"
# Runners whose workers are in the container itself.
_LOCAL_RUNNERS = {"directrunner", "direct", "fnapirunner", "bundlebaseddirectrunner", "prismrunner"}


def main(argv: Sequence[str]) -> None:
    """Runs one component.

    Args:
      argv: The arguments, without the program's name: what TFX's entry point takes for a Beam option otherwise.
    """
    given, beam_arguments = _parse(argv)
    adapted = adapt(
        json.loads(given.json_serialized_invocation_args),
        json.loads(given.json_serialized_inputs_spec_args or "{}"),
        remote_beam=has_remote_workers(beam_arguments),
    )
    given.json_serialized_invocation_args = json.dumps(adapted.executor_input)

    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    kubeflow_v2_run_executor.main((given, beam_arguments))
    _finish(adapted, given.executor_class_path)


def has_remote_workers(beam_arguments: Sequence[str]) -> bool:
    """Tells whether Beam's options choose a runner whose workers are on other machines."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--runner", default="DirectRunner")
    runner = str(parser.parse_known_args(list(beam_arguments))[0].runner)
    return runner.rpartition(".")[2].lower() not in _LOCAL_RUNNERS


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="slimline.kubeflow.entrypoint", allow_abbrev=False)
    parser.add_argument(CLASS_OPTION, required=True)
    parser.add_argument(_INPUT, required=True)
    parser.add_argument(_SPEC, default="")
    return parser.parse_known_args(list(argv))


def _finish(adapted: Adapted, executor_class_path: str) -> None:
    from tfx.dsl.io import fileio

    from slimline.kubeflow.page_artifacts import write_page_artifacts

    with fileio.open(adapted.output_file) as stream:
        answer: dict[str, Any] = json.loads(stream.read())
    shown = write_page_artifacts(adapted, answer, executor_class_path)
    answer = restore(answer, adapted)
    if shown:
        answer["artifacts"] = {**answer.get("artifacts", {}), **shown}
    with fileio.open(adapted.output_file, "w") as stream:
        stream.write(json.dumps(answer, indent=1, allow_nan=False))


if __name__ == "__main__":
    main(sys.argv[1:])
