"""Prints lineage as a tree or as JSON: up to the data, or down to what was pushed."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from slimline.cli.lineage_tree import downstream_tree, upstream_tree
from slimline.cli.terminal import terminal
from slimline.errors import LineageError
from slimline.lineage.find import Found, FoundBy, artifact_by_id, find, require_something
from slimline.lineage.graph import Lineage, artifacts_by_id, consumers, trace, trace_downstream
from slimline.lineage.places import Places
from slimline.lineage.store import OpenStore, open_named
from slimline.names import metadata_keys

_WIDE = 1_000


@dataclass(frozen=True)
class TraceArguments:
    """What was typed.

    Attributes:
      path: A file or folder; None when `artifact` is given.
      artifact: Id in the store instead.
      metadata: The store's file or address; None to look for a file above `path`.
      host: HOST:PORT of a metadata service instead.
      is_downstream: Whether what was made of it is asked for, and not what it was made of.
    """

    path: Path | None
    artifact: int | None
    metadata: str | None
    host: str | None
    is_downstream: bool


def trace_artifact(arguments: TraceArguments, *, as_json: bool) -> bool:
    """Finds an artifact, and prints its lineage; returns whether its bytes are those recorded, as far as any are."""
    opened, found = find_subject(arguments)
    walk = trace_downstream if arguments.is_downstream else trace
    lineage = walk(opened.store, found.artifact.id)
    pushes = _pushes(opened, lineage, is_downstream=arguments.is_downstream)
    if as_json:
        _print_json(opened, found, lineage, pushes)
        return not found.is_changed
    console = terminal()
    if not console.is_terminal:
        # Whoever searches the output wants a value on one line.
        console.width = _WIDE
    told = (*_blessings(lineage, found.digest), *dict.fromkeys(pushes.values()))
    for statement in (*_introduction(arguments, opened, found), *told):
        console.print(statement, soft_wrap=True, markup=False)
    console.print(downstream_tree(lineage) if arguments.is_downstream else upstream_tree(lineage))
    _print_next(console, arguments, opened, found)
    return not found.is_changed


def find_subject(arguments: TraceArguments) -> tuple[OpenStore, Found]:
    """Opens the store, and finds the artifact in it.

    Raises:
      LineageError: Neither or both of path and id are given; there is no store; or it does not know the artifact.
    """
    path = arguments.path
    if (path is None) == (arguments.artifact is None):
        raise LineageError(
            "both a path and --artifact" if path else "neither a path nor --artifact", "one of them", "give one of them"
        )
    if path is not None:
        # Before the store is looked for: what is not there has no store above it.
        require_something(path)
    opened = open_named(arguments.metadata, arguments.host, path or Path.cwd() / "any")
    if path is None:
        return opened, artifact_by_id(opened.store, int(arguments.artifact or 0))
    return opened, find(opened.store, path, opened.folder)


def _pushes(opened: OpenStore, lineage: Lineage, *, is_downstream: bool) -> dict[int, str]:
    """Returns where an artifact itself, or whatever was made of it, was pushed to, by the ids of the PushedModels."""
    if is_downstream:
        nodes = [lineage.artifacts[id_] for id_ in lineage.producers if id_ in lineage.artifacts]
    else:
        used = consumers(opened.store, lineage.artifact_id)
        ids = sorted({id_ for execution in used for output in execution.outputs.values() for id_ in output})
        nodes = artifacts_by_id(opened.store, ids)
    places = ((node.id, node.properties.get(metadata_keys.PUSHED_DESTINATION)) for node in nodes)
    return {id_: f"pushed to {place}" for id_, place in places if place}


def _introduction(arguments: TraceArguments, opened: OpenStore, found: Found) -> list[str]:
    node, subject = found.artifact, arguments.path or "it"
    if found.by == FoundBy.CONTENT or arguments.path is None:
        first = f"{subject} is {node.type} {node.id} of {opened.name}"
    elif found.by == FoundBy.PROVENANCE_ID:
        first = (
            f"{subject} holds the id of {node.type} {node.id} of {opened.name}, and is NOT what was recorded for it: "
            f"other bytes than {found.recorded}"
        )
    elif found.is_changed:
        first = (
            f"{subject} lies where {node.type} {node.id} of {opened.name} was written, and is NOT what was recorded "
            f"for it: other bytes than {found.recorded}"
        )
    else:
        first = f"{subject} lies where {node.type} {node.id} of {opened.name} was written; no digest of it is recorded"
    return [first, *([f"content {found.digest}"] if found.digest else [])]


def _print_next(console: Console, arguments: TraceArguments, opened: OpenStore, found: Found) -> None:
    if arguments.path is None or arguments.is_downstream or found.artifact.type not in ("Model", "PushedModel"):
        return
    command = ["slimline", "audit", str(arguments.path), *store_options(opened)]
    console.print(f"Whether its records were touched: {shlex.join(command)}", soft_wrap=True, markup=False)


def store_options(opened: OpenStore) -> list[str]:
    """Returns the options that name a store again."""
    return ["--metadata-host" if opened.is_service else "--metadata", opened.name]


def _print_json(opened: OpenStore, found: Found, lineage: Lineage, pushes: Mapping[int, str]) -> None:
    content = asdict(lineage)
    content["artifacts"] = list(content["artifacts"].values())
    content["executions"] = list(content["executions"].values())
    content["producers"] = [{"artifact": a, "execution": e} for a, e in lineage.producers.items()]
    head = {
        "digest": found.digest,
        "metadata": opened.name,
        "found_by": str(found.by),
        "is_changed": found.is_changed,
        "old_root": str(root) if (root := _old_root(opened, lineage)) else None,
        "pushed_to": [text.removeprefix("pushed to ") for text in pushes.values()],
    }
    print(json.dumps({**head, **content}, indent=1))


def _old_root(opened: OpenStore, lineage: Lineage) -> Path | None:
    return Places(opened.folder, (node.uri for node in lineage.artifacts.values())).old_root


def _blessings(lineage: Lineage, digest: str) -> list[str]:
    """Says which blessings in the lineage are about exactly this content."""
    return [
        f"blessed by ModelBlessing {node.id} as {node.properties.get(metadata_keys.CHOSEN)}"
        for node in lineage.artifacts.values()
        if node.type == "ModelBlessing"
        and digest
        and node.properties.get(metadata_keys.BLESSED) == 1
        and node.properties.get(metadata_keys.CONTENT_DIGEST) == digest
    ]
