"""Gives a compiled pipeline to a Kubeflow server, and says where it is."""

import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline.errors import PipelineError

TOKEN = "SLIMLINE_KUBEFLOW_TOKEN"  # noqa: S105 - the name of a variable
# As kfp's own client has it.
_ENDPOINT = "KF_PIPELINES_ENDPOINT"


@dataclass(frozen=True)
class SubmitArguments:
    """What the command line says of a submission.

    Attributes:
      file: As `slimline compile` wrote it.
      host: Address of the server; None for what the environment names.
      token_file: File with a bearer token; None for what the environment holds.
      certificate: File with certificates to trust.
      namespace: Of the user.
      name: Of the run or schedule; None for the pipeline's and the time.
      experiment: That it belongs to.
      parameters: Values by name.
      pipeline_root: Where artifacts are kept.
      service_account: That pods run as.
    """

    file: Path
    host: str | None
    token_file: Path | None
    certificate: Path | None
    namespace: str | None
    name: str | None
    experiment: str
    parameters: Mapping[str, str]
    pipeline_root: str | None
    service_account: str | None


def submit_file(arguments: SubmitArguments) -> dict[str, Any]:
    """Starts a run and returns what `--json` prints.

    Raises:
      PipelineError: An argument is wrong, or the server refuses.
    """
    from slimline.kubeflow.submission import submit

    server, submission = _prepared(arguments, time.strftime("%Y%m%d-%H%M%S"))
    run_id = submit(submission, server)
    return {"name": submission.name, "run_id": run_id, "address": f"{server.host.rstrip('/')}/#/runs/details/{run_id}"}


def schedule_file(arguments: SubmitArguments, cron: str, max_concurrency: int, *, catch_up: bool) -> dict[str, Any]:
    """Makes a schedule and returns what `--json` prints.

    Raises:
      PipelineError: An argument is wrong, or the server refuses.
    """
    from slimline.kubeflow.submission import Schedule, schedule

    server, submission = _prepared(arguments, "scheduled")
    made = schedule(submission, Schedule(cron, max_concurrency, catch_up), server)
    address = f"{server.host.rstrip('/')}/#/recurringrun/details/{made}"
    return {"name": submission.name, "recurring_run_id": made, "address": address}


def _prepared(arguments: SubmitArguments, ending: str) -> tuple[Any, Any]:
    from slimline.kubeflow.compiled_file import read_compiled

    # kfp says with a warning which servers it is for.
    warnings.simplefilter("ignore", FutureWarning)
    from slimline.kubeflow.submission import Server, Submission

    host = arguments.host or os.environ.get(_ENDPOINT, "")
    if not host.startswith(("http://", "https://")):
        raise PipelineError(
            f"the host {host!r}" if host else "no --host",
            "the address of Kubeflow Pipelines' API, as http://localhost:8080",
            f"give --host, or set {_ENDPOINT}",
        )
    server = Server(host, arguments.namespace, _token(arguments.token_file), arguments.certificate)
    name = arguments.name or f"{read_compiled(arguments.file).name}-{ending}"
    submission = Submission(
        arguments.file,
        name,
        arguments.experiment,
        arguments.parameters,
        arguments.pipeline_root,
        arguments.service_account,
    )
    return server, submission


def _token(file: Path | None) -> str | None:
    """Reads the token; never from an argument, which every user of the machine can see."""
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"--token-file {file}: {error}", "a file with a token", "check the path") from None
    if not token:
        raise PipelineError(f"--token-file {file}, which is empty", "a file with a token", "ask for a new token")
    return token
