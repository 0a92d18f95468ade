"""The commands and their options."""

import json
from pathlib import Path
from typing import Annotated

import typer

from slimline.cli.exit_codes import NOTHING_BLESSED
from slimline.running.request import Request, Runner, check_name

app = typer.Typer(
    name="slimline",
    help="Turns a trained model into an edge model that is proven to be good enough, or is not shipped.",
    epilog="Exit codes: 0 done, 1 crashed, 2 bad input, 3 nothing was blessed.",
    no_args_is_help=True,
    # Help drawn by rich costs a third of a second on every call.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_RUNS_FOLDER = Path("slimline-runs")

RootOption = Annotated[
    Path | None,
    typer.Option(help="Folder for data, artifacts, metadata and pushed models. [default: slimline-runs/NAME]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@app.command()
def demo(root: RootOption = None, as_json: JsonOption = False) -> None:
    """Train, prune, cluster, quantize five ways, validate and push a model of handwritten digits."""
    _run("digits", "local", root, as_json)


@app.command()
def run(
    pipeline: Annotated[str, typer.Argument(help="A name, as digits, or package.module:function.")],
    runner: Annotated[Runner, typer.Option(help="TFX's local runner, or its Beam runner.")] = "local",
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a pipeline on this machine."""
    _run(pipeline, runner, root, as_json)


@app.command("compile")
def compile_(
    pipeline: Annotated[str, typer.Argument(help="A name, as digits, or package.module:function.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, ending in .yaml.")],
    root: Annotated[str, typer.Option(help="Folder or URI that every container reaches.")] = "/slimline",
    image: Annotated[str, typer.Option(help="Container image, as built from deploy/Dockerfile.")] = "slimline:latest",
) -> None:
    """Compile a pipeline to the specification that Kubeflow Pipelines loads."""
    from slimline.cli.compiling import compile_to_file

    check_name(pipeline)
    compile_to_file(Request(pipeline, root, output=str(output), image=image))


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(help="A model's folder or file, as a Trainer exported it.")],
    custom_objects: Annotated[str | None, typer.Option(help="Dotted path of a module with layers of your own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what pruning, clustering, training and quantization can do to a model, layer by layer."""
    from slimline.cli.inspecting import inspect_path

    inspect_path(model, custom_objects, as_json=as_json)


@app.command()
def lineage(
    path: Annotated[Path, typer.Argument(help="A .tflite file, a pushed folder or a model's folder.")],
    metadata: Annotated[
        Path | None, typer.Option(help="The store's sqlite file. [default: metadata.sqlite above PATH]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print where a model came from: every step up to the data, with parameters and metrics."""
    from slimline.cli.tracing import trace_file

    trace_file(path, metadata, as_json=as_json)


def _run(pipeline: str, runner: Runner, root: Path | None, as_json: bool) -> None:
    from slimline.cli.progress import follow
    from slimline.cli.results import print_outcome

    check_name(pipeline)
    folder = (root or _RUNS_FOLDER / pipeline.replace(":", ".")).resolve()
    outcome = follow(Request(pipeline, str(folder), runner=runner), folder)
    if as_json:
        print(json.dumps(outcome, indent=1))
    else:
        print_outcome(outcome)
    if outcome["validated"] and outcome["chosen"] is None:
        raise typer.Exit(NOTHING_BLESSED)
