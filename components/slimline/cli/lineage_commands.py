"""The commands that read what was recorded: `lineage`, `diff` and `history`."""

from pathlib import Path
from typing import Annotated

import typer

from slimline.cli.exit_codes import NOT_GOOD_ENOUGH
from slimline.cli.options import JsonOption, MetadataHostOption, MetadataOption


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    for command in (lineage, diff, history):
        app.command()(command)


def lineage(
    path: Annotated[
        Path | None, typer.Argument(help="A .tflite file, a pushed folder, or the folder of any artifact.")
    ] = None,
    artifact: Annotated[int | None, typer.Option(help="Id of an artifact in the store, instead of PATH.")] = None,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="What was made of it, down to what was pushed.")
    ] = False,
    metadata: MetadataOption = None,
    metadata_host: MetadataHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print where a model came from: every step up to the data, with parameters and metrics."""
    from slimline.cli.tracing import TraceArguments, trace_artifact

    if not trace_artifact(TraceArguments(path, artifact, metadata, metadata_host, downstream), as_json=as_json):
        raise typer.Exit(NOT_GOOD_ENOUGH)


def diff(
    one: Annotated[Path, typer.Argument(help="A model's file or folder.")],
    other: Annotated[Path, typer.Argument(help="Another one.")],
    metadata: MetadataOption = None,
    metadata_host: MetadataHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how two models came about differently: steps, parameters, inputs, results and versions."""
    from slimline.cli.differing import print_differences

    print_differences(one, other, metadata, metadata_host, as_json=as_json)


def history(
    destination: Annotated[Path, typer.Argument(help="A serving folder, or one version in it.")],
    metadata: MetadataOption = None,
    metadata_host: MetadataHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was pushed to a place, by which run, with which figures, and what lies there now."""
    from slimline.cli.histories import print_history

    print_history(destination, metadata, metadata_host, as_json=as_json)
