"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

MetadataOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|ADDRESS",
        help="The store's sqlite file, or mysql:// or postgresql:// with USER@HOST:PORT/DATABASE, whose password is "
        "taken from SLIMLINE_METADATA_PASSWORD. [default: metadata.sqlite above PATH]",
    ),
]
MetadataHostOption = Annotated[
    str | None, typer.Option(help="HOST:PORT of a metadata service, as Kubeflow's, instead of a file.")
]
PublicKeyOption = Annotated[
    list[Path] | None, typer.Option(help="PEM file of a public key that steps must be signed by; may be repeated.")
]
FullOption = Annotated[bool, typer.Option("--full", help="List what is in order, too.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
