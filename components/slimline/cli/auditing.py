"""Audits a model or a run, and prints what was found."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from slimline.audit import (
    RULES,
    AuditResult,
    Case,
    everything,
    model_at,
    read_policy,
    render_audit,
    run_audit,
    take_snapshot,
)
from slimline.audit.findings import Status, count_statuses
from slimline.audit.rules.remeasuring import metrics_remeasured
from slimline.cli.native_messages import without_native_messages
from slimline.cli.terminal import terminal
from slimline.core.atomic_write import write_file
from slimline.errors import LineageError
from slimline.evidence import collect, write_bundle
from slimline.lineage.store import STORE_FILE, open_named
from slimline.plain_text import plain
from slimline.provenance import load_private_key, load_public_key
from slimline.provenance.envelope import signing_password
from slimline.provenance.ledger import read_ledger

_COLORS = {
    Status.FAIL: "red",
    Status.INCONCLUSIVE: "yellow",
    Status.WARN: "yellow",
    Status.NOT_RECORDED: "dim",
    Status.PASS: "green",
}
_WIDE = 1_000


@dataclass(frozen=True)
class AuditArguments:
    """What was typed.

    Attributes:
      path: A model's file or folder, or a run's root.
      metadata: The store's file or address; None to look for a file above `path`.
      host: HOST:PORT of a metadata service instead.
      whole_store: Whether all runs of the store are audited, whatever `path` is.
      keys: PEM files of public keys.
      policy: JSON file; None without one.
      checkout: Folder of the source code; None when it is not compared.
      ledger: File of the steps that ran; None without one.
      anchor: Digest of a line of it that was noted elsewhere; empty without one.
      page: HTML file to write; None for none.
      strict: Whether undecided rules count as failures.
      remeasure: Whether the gates' metrics are measured again.
    """

    path: Path
    metadata: str | None
    host: str | None
    whole_store: bool
    keys: Sequence[Path]
    policy: Path | None
    checkout: Path | None
    ledger: Path | None = None
    anchor: str = ""
    page: Path | None = None
    strict: bool = False
    remeasure: bool = False


def audit_path(arguments: AuditArguments) -> AuditResult:
    """Audits what was named.

    Raises:
      LineageError: There is nothing to audit, or no store.
      ConfigError: The policy is none.
      ProvenanceError: A key is none, or the ledger is not there.
    """
    path = arguments.path
    if not path.exists():
        raise LineageError(f"nothing at {path}", "a model's file or folder, or a run's root", "check the path")
    if arguments.checkout and not any(arguments.checkout.rglob("*.py")):
        raise LineageError(f"no code in --checkout {arguments.checkout}", "Slimline's source code", "check the path")
    if arguments.anchor and not arguments.ledger:
        raise LineageError("--anchor without --ledger", "the ledger that it is a line of", "give --ledger too")
    policy = read_policy(arguments.policy) if arguments.policy else None
    keys = tuple(load_public_key(key) for key in arguments.keys)
    opened = open_named(arguments.metadata, arguments.host, path)
    records = take_snapshot(opened.store, opened.folder)
    is_root = path.name == STORE_FILE or (path / STORE_FILE).is_file()
    subject = everything(records, str(path)) if arguments.whole_store or is_root else model_at(records, path)
    ledger = read_ledger(arguments.ledger) if arguments.ledger else None
    case = Case(subject.records, records, keys, policy, arguments.checkout, ledger, arguments.anchor)
    rules = (*RULES, metrics_remeasured) if arguments.remeasure else RULES
    with without_native_messages():
        result = run_audit(case, subject.title, rules)
    whole = replace(result, findings=(*subject.findings, *result.findings))
    if arguments.page is not None:
        write_file(arguments.page, render_audit(whole, subject.records, strict=arguments.strict).encode())
    return whole


def print_audit(result: AuditResult, *, as_json: bool, in_full: bool, strict: bool) -> None:
    """Prints findings: what speaks against the subject one by one, what is in order by rule."""
    if as_json:
        print(json.dumps({"is_clean": result.is_clean(strict=strict), **result.to_dict()}, indent=1))
        return
    console = terminal()
    if not console.is_terminal:
        console.width = _WIDE
    shown = [f for f in result.findings if in_full or f.status not in (Status.PASS, Status.NOT_RECORDED)]
    if shown:
        table = Table("", "rule", "subject", "found", box=None, pad_edge=False)
        for finding in shown:
            color = _COLORS[finding.status]
            cells = (escape(plain(text)) for text in (finding.rule, finding.subject, finding.text))
            table.add_row(f"[{color}]{finding.status}[/]", *cells)
        console.print(table)
    counts = ", ".join(f"{number} {status}" for status, number in count_statuses(result.findings).items() if number)
    word = "clean" if result.is_clean(strict=strict) else "NOT CLEAN"
    console.print(f"{plain(result.subject)}: {word} ({counts})", soft_wrap=True, markup=False)


def write_evidence(path: Path, output: Path, evaluation: Path | None, key: Path | None) -> str:
    """Writes the evidence bundle of a model; returns the command with which a third party verifies it.

    Raises:
      ProvenanceError: Evidence is missing, or does not belong together; or a key or the output can't be used.
    """
    private = load_private_key(key, signing_password()) if key else None
    write_bundle(collect(path, evaluation), output, private)
    return f"unzip -p {output} verify.py > verify.py; python3 verify.py {output}"
