"""The commands of an auditor with a model in hand: `audit`, `verify` and `evidence`."""

from pathlib import Path
from typing import Annotated

import typer

from slimline.cli.exit_codes import NOT_GOOD_ENOUGH
from slimline.cli.options import FullOption, JsonOption, MetadataHostOption, MetadataOption, PublicKeyOption
from slimline.plain_text import plain


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    for command in (audit, verify, evidence):
        app.command()(command)


def audit(
    path: Annotated[Path, typer.Argument(help="A .tflite file, a pushed or a model's folder, or the root of a run.")],
    metadata: MetadataOption = None,
    metadata_host: MetadataHostOption = None,
    whole_store: Annotated[bool, typer.Option("--all", help="Audit every run of the store.")] = False,
    key: PublicKeyOption = None,
    policy: Annotated[Path | None, typer.Option(help="JSON file with the options of Policy.")] = None,
    checkout: Annotated[Path | None, typer.Option(help="Source code that the steps must have run.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="File that SLIMLINE_LEDGER named in the runs.")] = None,
    anchor: Annotated[str, typer.Option(help="Digest of a line of the ledger that was noted elsewhere.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Fail where the evidence is gone, too.")] = False,
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="Run all models on the gate's examples again, and compare metrics.")
    ] = False,
    in_full: FullOption = False,
    page: Annotated[Path | None, typer.Option(help="HTML file to write: findings and graph.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether a model or a run is what its records say, and what went round the gate."""
    from slimline.cli.auditing import AuditArguments, audit_path, print_audit

    arguments = AuditArguments(
        path,
        metadata,
        metadata_host,
        whole_store,
        tuple(key or ()),
        policy,
        checkout,
        ledger,
        anchor,
        page,
        strict,
        remeasure,
    )
    result = audit_path(arguments)
    print_audit(result, as_json=as_json, in_full=in_full, strict=strict)
    if not result.is_clean(strict=strict):
        raise typer.Exit(NOT_GOOD_ENOUGH)


def verify(
    path: Annotated[Path, typer.Argument(help="A pushed folder, or a .tflite file with steps.jsonl beside it.")],
    key: PublicKeyOption = None,
    in_full: FullOption = False,
    as_json: JsonOption = False,
) -> None:
    """Verify a model by the statements that travel with it; no metadata store is needed."""
    from slimline.audit import verify_model
    from slimline.cli.auditing import print_audit
    from slimline.provenance import load_public_key

    result = verify_model(path, [load_public_key(file) for file in key or ()])
    print_audit(result, as_json=as_json, in_full=in_full, strict=False)
    if not result.is_clean(strict=False):
        raise typer.Exit(NOT_GOOD_ENOUGH)


def evidence(
    path: Annotated[Path, typer.Argument(help="A pushed folder, or an EdgeValidator's blessed_model.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .zip file to write.")],
    evaluation: Annotated[
        Path | None, typer.Option(help="The gate's evaluation.json. [default: where the gate wrote it]")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of a private key to sign with.")] = None,
) -> None:
    """Write all evidence on a model into one .zip file, in formats that other tools read."""
    from slimline.cli.auditing import write_evidence

    verifying = write_evidence(path, output, evaluation, key)
    print(plain(str(output)))
    print(plain(f"To verify it: {verifying}"))
