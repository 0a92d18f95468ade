"""The commands that are about Kubeflow: `compile`, and `kubeflow run-local`, `submit` and `schedule`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from slimline.cli.extras import require
from slimline.cli.pairs import pairs
from slimline.cli.terminal import terminal
from slimline.errors import PipelineError
from slimline.running.request import Request, check_name

_NAME_VALUE = "NAME=VALUE"
_kubeflow = typer.Typer(help="Run what was compiled, here or on a server.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("compile")(compile_)
    app.add_typer(_kubeflow, name="kubeflow")


def compile_(
    pipeline: Annotated[str, typer.Argument(help="A name, as digits, or package.module:function.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .yaml, or .json for vertex.")],
    image: Annotated[str | None, typer.Option(help="Container image, as built from deploy/Dockerfile.")] = None,
    root: Annotated[str, typer.Option(help="Folder on a volume, or URI, that every container reaches.")] = "/slimline",
    format_: Annotated[
        str, typer.Option("--format", help="kubeflow: the file that it loads; manifest: Kubernetes resources; vertex.")
    ] = "kubeflow",
    image_for: Annotated[list[str] | None, typer.Option(help="ID=IMAGE, of one component.")] = None,
    resources: Annotated[list[str] | None, typer.Option(help="ID:cpu=4,memory=8Gi,gpu=1,gpu_type=TYPE.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, in every container.")] = None,
    secret_env: Annotated[list[str] | None, typer.Option(help="NAME=SECRET:KEY.")] = None,
    config_env: Annotated[list[str] | None, typer.Option(help="NAME=CONFIGMAP:KEY.")] = None,
    pvc: Annotated[list[str] | None, typer.Option(help="CLAIM:PATH, a volume of every container.")] = None,
    node_selector: Annotated[list[str] | None, typer.Option(help="LABEL=VALUE that nodes must have.")] = None,
    toleration: Annotated[list[str] | None, typer.Option(help="KEY[=VALUE][:EFFECT] of a taint.")] = None,
    image_pull_secret: Annotated[list[str] | None, typer.Option(help="Secret to pull images with.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, on every pod.")] = None,
    retries: Annotated[int, typer.Option(help="How often a failed task is tried again.")] = 0,
    timeout: Annotated[int | None, typer.Option(help="Seconds after which a task is ended.")] = None,
    no_cache: Annotated[
        list[str] | None, typer.Option(help="Component that always runs; ExampleGens, Importers and Pushers do so.")
    ] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=DEFAULT of a runtime parameter.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Of the resources of --format manifest.")] = None,
    version: Annotated[str | None, typer.Option(help="Name of the version in --format manifest.")] = None,
) -> None:
    """Compile a pipeline to what Kubeflow Pipelines or Vertex AI loads. Options of several values may be repeated."""
    from slimline.cli.compiling import compile_to_file, parse_key, parse_resources, parse_toleration, parse_volume
    from slimline.kubeflow.options import CompileOptions

    require("tfx", "kfp")
    check_name(pipeline)
    if image is None:
        raise PipelineError(
            "no --image", "the container image that every component runs in", "build one from deploy/Dockerfile"
        )
    given: dict[str, Any] = {
        "image": image,
        "images": pairs(image_for or [], "--image-for", "ID=IMAGE"),
        "resources": dict(map(parse_resources, resources or [])),
        "env": pairs(env or [], "--env", _NAME_VALUE),
        "secret_env": {
            name: parse_key(text, "--secret-env")
            for name, text in pairs(secret_env or [], "--secret-env", "NAME=SECRET:KEY").items()
        },
        "config_env": {
            name: parse_key(text, "--config-env")
            for name, text in pairs(config_env or [], "--config-env", "NAME=CONFIGMAP:KEY").items()
        },
        "volumes": [parse_volume(text) for text in pvc or []],
        "node_selector": pairs(node_selector or [], "--node-selector", "LABEL=VALUE"),
        "tolerations": [parse_toleration(text) for text in toleration or []],
        "image_pull_secrets": image_pull_secret or [],
        "labels": pairs(label or [], "--label", _NAME_VALUE),
        "retries": retries,
        "timeout_s": timeout,
        "no_cache": no_cache or [],
        "parameters": pairs(parameter or [], "--parameter", "NAME=DEFAULT"),
        "format": format_,
        "namespace": namespace,
        "version": version,
    }
    options = CompileOptions(**given)
    compile_to_file(Request(pipeline, root, output=str(output), options=options.to_json()), options)


@_kubeflow.command("run-local")
def run_local_(
    file: Annotated[Path, typer.Argument(help="File that slimline compile wrote.")],
    folder: Annotated[
        Path | None, typer.Option(help="For the bucket, logs and what is done. [default: slimline-runs/kubeflow/NAME]")
    ] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be repeated.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Tasks at the same time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Run a compiled pipeline here by Kubeflow's rules, a process for each task; goes on where the last run stood."""
    from slimline.cli.kubeflow_runs import run_file

    values = pairs(parameter or [], "--parameter", _NAME_VALUE)
    outcome = run_file(file, folder, values, jobs, as_json=as_json)
    if as_json:
        print(json.dumps(outcome, indent=1))
    if outcome["failed"]:
        raise typer.Exit(1)


FileArgument = Annotated[Path, typer.Argument(help="File that slimline compile wrote.")]
HostOption = Annotated[str | None, typer.Option(help="Address of the API. [default: $KF_PIPELINES_ENDPOINT]")]
TokenOption = Annotated[
    Path | None, typer.Option(help="File with a bearer token. [default: $SLIMLINE_KUBEFLOW_TOKEN, or none]")
]
CertificateOption = Annotated[Path | None, typer.Option(help="File with certificates to trust.")]
NamespaceOption = Annotated[str | None, typer.Option(help="Yours, on a server of several users.")]
NameOption = Annotated[str | None, typer.Option(help="[default: made from the pipeline's]")]
ExperimentOption = Annotated[str, typer.Option(help="That it belongs to; made when it is not there.")]
ParameterOption = Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be repeated.")]
RootOption = Annotated[str | None, typer.Option(help="Where artifacts are kept. [default: the server's]")]
AccountOption = Annotated[str | None, typer.Option(help="Service account of the pods. [default: the server's]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a line.")]


@_kubeflow.command("submit")
def submit_(
    file: FileArgument,
    host: HostOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    namespace: NamespaceOption = None,
    name: NameOption = None,
    experiment: ExperimentOption = "Default",
    parameter: ParameterOption = None,
    pipeline_root: RootOption = None,
    service_account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a compiled pipeline on a Kubeflow server."""
    from slimline.cli.kubeflow_submitting import SubmitArguments, submit_file

    values = pairs(parameter or [], "--parameter", _NAME_VALUE)
    arguments = SubmitArguments(
        file, host, token_file, certificate, namespace, name, experiment, values, pipeline_root, service_account
    )
    _show(submit_file(arguments), as_json=as_json)


@_kubeflow.command("schedule")
def schedule_(
    file: FileArgument,
    cron: Annotated[str, typer.Option(help="Six fields, seconds first, as '0 30 2 * * *'.")],
    max_concurrency: Annotated[int, typer.Option(min=1, max=10, help="Runs at the same time.")] = 1,
    catch_up: Annotated[bool, typer.Option("--catch-up", help="Make up for runs that were missed.")] = False,
    host: HostOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    namespace: NamespaceOption = None,
    name: NameOption = None,
    experiment: ExperimentOption = "Default",
    parameter: ParameterOption = None,
    pipeline_root: RootOption = None,
    service_account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a compiled pipeline run on a Kubeflow server again and again."""
    from slimline.cli.kubeflow_submitting import SubmitArguments, schedule_file

    values = pairs(parameter or [], "--parameter", _NAME_VALUE)
    arguments = SubmitArguments(
        file, host, token_file, certificate, namespace, name, experiment, values, pipeline_root, service_account
    )
    _show(schedule_file(arguments, cron, max_concurrency, catch_up=catch_up), as_json=as_json)


def _show(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(made, indent=1))
    else:
        terminal().print(f"{made['name']}: {made['address']}", soft_wrap=True, markup=False)
