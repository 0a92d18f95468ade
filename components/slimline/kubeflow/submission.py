"""Gives a compiled file to a Kubeflow server, to run at once or by a schedule, through Kubeflow's own client."""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import kfp
import kfp_server_api
import urllib3

from slimline.errors import PipelineError
from slimline.kubeflow.compiled_file import parameter_values, read_compiled

Json: TypeAlias = dict[str, Any]

_ROOTS = ("minio://", "s3://", "gs://")
_ANSWER_S = 10.0
_WAYS = {
    401: "give a token that is valid, with --token-file",
    403: "ask for the right to create runs in this namespace",
    404: "check --host: it is the address of Kubeflow Pipelines' API, as http://localhost:8080",
}


@dataclass(frozen=True)
class Server:
    """A Kubeflow Pipelines server.

    Attributes:
      host: Its address, as `http://localhost:8080`.
      namespace: Of the user, on a server of several users.
      token: Sent as a bearer token; never shown.
      certificate: File with the certificates to trust.
    """

    host: str
    namespace: str | None = None
    token: str | None = field(default=None, repr=False)
    certificate: Path | None = None


@dataclass(frozen=True)
class Submission:
    """What is asked for.

    Attributes:
      file: As `slimline compile` wrote it.
      name: Of the run, or of the schedule.
      experiment: That it belongs to; made when it is not there.
      parameters: Values of the pipeline's parameters.
      pipeline_root: Where artifacts are kept; the server's own place when left out.
      service_account: That pods run as; the server's own when left out.
    """

    file: Path
    name: str
    experiment: str = "Default"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    pipeline_root: str | None = None
    service_account: str | None = None


@dataclass(frozen=True)
class Schedule:
    """When a pipeline runs.

    Attributes:
      cron: Six fields, seconds first, as Kubeflow has it.
      max_concurrency: Runs at the same time, at least 1.
      catch_up: Whether runs that were missed are made up for.
    """

    cron: str
    max_concurrency: int = 1
    catch_up: bool = False


def submit(submission: Submission, server: Server) -> str:
    """Starts a run, and returns its id.

    Raises:
      PipelineError: File or parameters are wrong, or the server refuses.
    """
    values = _checked(submission)
    with _talking_to(server):
        client = _client(server)
        result = client.create_run_from_pipeline_package(
            str(submission.file),
            arguments=values,
            run_name=submission.name,
            experiment_name=submission.experiment,
            namespace=server.namespace,
            pipeline_root=submission.pipeline_root,
            service_account=submission.service_account,
        )
    return str(result.run_id)


def schedule(submission: Submission, timing: Schedule, server: Server) -> str:
    """Has a pipeline run by a schedule, and returns the schedule's id.

    Raises:
      PipelineError: File, parameters or times are wrong, or the server refuses.
    """
    values = _checked(submission)
    _require_cron(timing.cron)
    with _talking_to(server):
        client = _client(server)
        experiment = client.create_experiment(submission.experiment, namespace=server.namespace)
        made = client.create_recurring_run(
            experiment.experiment_id,
            submission.name,
            cron_expression=timing.cron,
            max_concurrency=timing.max_concurrency,
            no_catchup=not timing.catch_up,
            params=values,
            pipeline_package_path=str(submission.file),
            pipeline_root=submission.pipeline_root,
            service_account=submission.service_account,
        )
    return str(made.recurring_run_id)


def _checked(submission: Submission) -> dict[str, Any]:
    compiled = read_compiled(submission.file)
    root = submission.pipeline_root
    if root is not None and not root.startswith(_ROOTS):
        raise PipelineError(
            f"the pipeline root {root}",
            f"an address that Kubeflow's launcher moves files to: {', '.join(_ROOTS)}",
            "correct it, or leave it out: the server has a place of its own",
        )
    return parameter_values(compiled.specification, submission.parameters)


def _require_cron(cron: str) -> None:
    num_fields = len(cron.split())
    if num_fields == 5:
        raise PipelineError(f"--cron {cron!r}", "six fields: Kubeflow's begins with seconds", f"write '0 {cron}'")
    if num_fields != 6 and not cron.startswith("@"):
        raise PipelineError(
            f"--cron {cron!r} of {num_fields} fields",
            "six fields: second, minute, hour, day of month, month, day of week",
            "write it so, as '0 30 2 * * *' for half past two every night",
        )


def _client(server: Server) -> kfp.Client:
    certificate = str(server.certificate) if server.certificate else None
    configuration = kfp_server_api.Configuration(host=server.host.rstrip("/"))
    configuration.ssl_ca_cert = certificate
    if server.token:
        configuration.api_key = {"authorization": server.token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
    # Asked first, once: kfp's own client asks five times in half a minute, and prints every refusal.
    health = kfp_server_api.HealthzServiceApi(kfp_server_api.ApiClient(configuration))
    found = health.healthz_service_get_healthz(_request_timeout=_ANSWER_S)
    if found.multi_user and not server.namespace:
        raise PipelineError(
            f"no namespace for {server.host}, a server of several users", "the user's", "give --namespace NAME"
        )
    named = {"namespace": server.namespace} if server.namespace else {}
    return kfp.Client(host=server.host, existing_token=server.token, ssl_ca_cert=certificate, **named)


@contextlib.contextmanager
def _talking_to(server: Server) -> Iterator[None]:
    """Says in a user's words what goes wrong on the way; what kfp prints is left out."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except kfp_server_api.ApiException as error:
        raise PipelineError(
            _without_token(f"{server.host} refused: {error.status} {error.reason}{_said(error.body)}", server),
            "a server that takes the pipeline",
            _WAYS.get(error.status, "correct what it names, and submit again"),
        ) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise PipelineError(
            _without_token(f"no answer from {server.host}: {error}", server),
            "the address of Kubeflow Pipelines' API",
            "check --host, and whether the server can be reached from here, as by kubectl port-forward",
        ) from None


def _said(body: Any) -> str:
    try:
        content = json.loads(body)
        return f": {content.get('error_message') or content.get('message') or content.get('error')}"
    except (TypeError, ValueError, AttributeError):
        return ""


def _without_token(text: str, server: Server) -> str:
    return text.replace(server.token, "***") if server.token else text
