"""Prints lineage as a tree or as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from slimline.cli.terminal import terminal
from slimline.errors import LineageError
from slimline.lineage.find import digest_of, find_by_content
from slimline.lineage.graph import ArtifactNode, Lineage, consumers, trace
from slimline.lineage.store import find_store_file, open_server, open_store, sqlite_config
from slimline.names import metadata_keys

# TFX's and Kubeflow's own bookkeeping, which says nothing of where a model came from.
_HIDDEN_PROPERTIES = {
    *("tfx_version", "is_external", "name", "producer_component", "pipeline_name", "state"),
    *("display_name", "store_session_info"),
}
_MAX_VALUE_CHARS = 160
_WIDE = 1_000


def trace_file(path: Path, metadata: Path | None, host: str | None, *, as_json: bool) -> None:
    """Finds an artifact by the content of a file or folder, and prints its lineage."""
    digest = digest_of(path)
    if metadata and host:
        raise LineageError("both --metadata and --metadata-host", "one store", "leave one of them out")
    place = host or metadata or find_store_file(path)
    store = open_server(host) if host else open_store(sqlite_config(Path(place)))
    found = find_by_content(store, path)
    artifact = found[-1]
    lineage = trace(store, artifact.id)
    pushes = _pushes(store, artifact.id)
    if as_json:
        print(
            json.dumps({"digest": digest, "metadata": str(place), "pushed_to": pushes, **_to_json(lineage)}, indent=1)
        )
        return
    console = terminal()
    if not console.is_terminal:
        # Whoever searches the output wants a value on one line.
        console.width = _WIDE
    console.print(f"{path} is {artifact.type} {artifact.id} of {place}", soft_wrap=True, markup=False)
    console.print(f"content {digest}", soft_wrap=True, markup=False)
    for statement in (*_blessings(lineage, digest), *(f"pushed to {where}" for where in dict.fromkeys(pushes))):
        console.print(statement, soft_wrap=True, markup=False)
    console.print(_tree(lineage))


def _pushes(store: Any, artifact_id: int) -> list[str]:
    return [
        node.properties[metadata_keys.PUSHED_DESTINATION]
        for execution in consumers(store, artifact_id)
        for ids in execution.outputs.values()
        for node in _nodes(store, ids)
        if metadata_keys.PUSHED_DESTINATION in node.properties
    ]


def _nodes(store: Any, ids: tuple[int, ...]) -> list[ArtifactNode]:
    from slimline.lineage.graph import to_node

    return [to_node(artifact) for artifact in store.get_artifacts_by_id(list(ids))]


def _to_json(lineage: Lineage) -> dict[str, Any]:
    content = asdict(lineage)
    content["artifacts"] = list(content["artifacts"].values())
    content["executions"] = list(content["executions"].values())
    content["producers"] = [{"artifact": a, "execution": e} for a, e in lineage.producers.items()]
    return content


def _blessings(lineage: Lineage, digest: str) -> list[str]:
    """Says which blessings in the lineage are about exactly this content."""
    return [
        f"blessed by ModelBlessing {node.id} as {node.properties.get(metadata_keys.CHOSEN)}"
        for node in lineage.artifacts.values()
        if node.type == "ModelBlessing"
        and node.properties.get(metadata_keys.BLESSED) == 1
        and node.properties.get(metadata_keys.CONTENT_DIGEST) == digest
    ]


def _tree(lineage: Lineage) -> Tree:
    artifact = lineage.artifacts[lineage.artifact_id]
    root = Tree(_label_artifact(artifact, "", in_full=True))
    _grow(root, lineage, artifact, {artifact.id})
    return root


def _grow(branch: Tree, lineage: Lineage, artifact: ArtifactNode, shown: set[int]) -> None:
    """Adds the execution that made an artifact, and below it that execution's inputs; each artifact in full once."""
    execution_id = lineage.producers.get(artifact.id)
    if execution_id is None:
        branch.add("[dim]came from outside of the store[/]")
        return
    execution = lineage.executions[execution_id]
    title = f"[bold cyan]{escape(execution.node or execution.type)}[/] [dim]execution {execution.id}[/]"
    step = branch.add(f"{title}{_lines(_parameters(execution.parameters))}")
    inputs = [(key, lineage.artifacts[id_]) for key, ids in execution.inputs.items() for id_ in ids]
    # What became this very artifact first, then the data, then what was only compared with it.
    inputs.sort(key=lambda item: (not _same_content(item[1], artifact), item[0]))
    for key, node in inputs:
        in_full = node.id not in shown
        shown.add(node.id)
        below = step.add(_label_artifact(node, key, in_full=in_full))
        if in_full:
            _grow(below, lineage, node, shown)


def _same_content(one: ArtifactNode, other: ArtifactNode) -> bool:
    digest = one.properties.get(metadata_keys.CONTENT_DIGEST)
    return digest is not None and digest == other.properties.get(metadata_keys.CONTENT_DIGEST)


def _label_artifact(node: ArtifactNode, key: str, *, in_full: bool) -> str:
    label = f"{escape(key)}: " if key else ""
    label += f"[green]{escape(node.type)}[/] [dim]{node.id} {escape(node.uri)}[/]"
    if not in_full:
        return f"{label} [dim](see above)[/]"
    properties = {k: v for k, v in node.properties.items() if k not in _HIDDEN_PROPERTIES and v not in ("", None)}
    return label + _lines(properties)


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Lays out JSON parameters one by one: `config.target_sparsity` rather than a string in a string."""
    laid_out: dict[str, Any] = {}
    for name, value in parameters.items():
        content = _parse_object(value)
        if content is not None:
            laid_out.update({f"{name}.{key}": inner for key, inner in content.items() if inner not in (None, {}, [])})
        elif value not in ("", "null"):
            laid_out[name] = value
    return laid_out


def _parse_object(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        content = json.loads(value)
    except json.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _lines(values: Mapping[str, Any]) -> str:
    shown = ((name, str(value)) for name, value in sorted(values.items()))
    return "".join(f"\n  {escape(name)} = {escape(_shorten(text))}" for name, text in shown)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}… ({len(text)} characters)"
