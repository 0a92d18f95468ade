"""Draws lineage as a tree in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from slimline.lineage.graph import Lineage
from slimline.lineage.parameters import lay_out
from slimline.lineage.records import ArtifactNode, ExecutionNode
from slimline.names import metadata_keys

# TFX's and Kubeflow's own bookkeeping, which says nothing of where a model came from.
_HIDDEN_PROPERTIES = {
    *("tfx_version", "is_external", "name", "producer_component", "pipeline_name", "state"),
    *("display_name", "store_session_info"),
}
_MAX_VALUE_CHARS = 160


def upstream_tree(lineage: Lineage) -> Tree:
    """Returns an artifact, below it the step that made it, below that what the step took, up to the data."""
    artifact = lineage.artifacts[lineage.artifact_id]
    root = Tree(_label_artifact(artifact, "", in_full=True))
    _grow_up(root, lineage, artifact, {artifact.id})
    return root


def downstream_tree(lineage: Lineage) -> Tree:
    """Returns an artifact, below it the steps that took it, below those what they made, each once."""
    artifact = lineage.artifacts[lineage.artifact_id]
    root = Tree(_label_artifact(artifact, "", in_full=True))
    _grow_down(root, lineage, artifact.id, set())
    return root


def _grow_up(branch: Tree, lineage: Lineage, artifact: ArtifactNode, shown: set[int]) -> None:
    execution_id = lineage.producers.get(artifact.id)
    if execution_id is None:
        branch.add("[dim]came from outside of the store[/]")
        return
    execution = lineage.executions[execution_id]
    step = branch.add(f"{_title(execution)}{_lines(lay_out(execution.parameters))}")
    inputs = [(key, node_of(lineage, id_)) for key, ids in execution.inputs.items() for id_ in ids]
    # What became this very artifact first, then the data, then what was only compared with it.
    inputs.sort(key=lambda item: (not _same_content(item[1], artifact), item[0]))
    for key, node in inputs:
        in_full = node.id not in shown
        shown.add(node.id)
        below = step.add(_label_artifact(node, key, in_full=in_full))
        if in_full:
            _grow_up(below, lineage, node, shown)


def _grow_down(branch: Tree, lineage: Lineage, artifact_id: int, shown: set[int]) -> None:
    for execution in lineage.executions.values():
        if not any(artifact_id in ids for ids in execution.inputs.values()):
            continue
        if execution.id in shown:
            branch.add(f"{_title(execution)} [dim](see above)[/]")
            continue
        shown.add(execution.id)
        step = branch.add(_title(execution))
        for key, ids in execution.outputs.items():
            for node in (node_of(lineage, id_) for id_ in ids):
                _grow_down(step.add(_label_artifact(node, key, in_full=False, note="")), lineage, node.id, shown)


def node_of(lineage: Lineage, id_: int) -> ArtifactNode:
    """Returns an artifact, or what can be said of one whose row was deleted."""
    return lineage.artifacts.get(id_) or ArtifactNode(id_, "artifact, whose row is gone,", "", {})


def _title(execution: ExecutionNode) -> str:
    return f"[bold cyan]{escape(execution.node or execution.type)}[/] [dim]execution {execution.id}[/]"


def _same_content(one: ArtifactNode, other: ArtifactNode) -> bool:
    digest = one.properties.get(metadata_keys.CONTENT_DIGEST)
    return digest is not None and digest == other.properties.get(metadata_keys.CONTENT_DIGEST)


def _label_artifact(node: ArtifactNode, key: str, *, in_full: bool, note: str = " [dim](see above)[/]") -> str:
    label = f"{escape(key)}: " if key else ""
    label += f"[green]{escape(node.type)}[/] [dim]{node.id} {escape(node.uri)}[/]"
    if not in_full:
        return f"{label}{note}"
    properties = {k: v for k, v in node.properties.items() if k not in _HIDDEN_PROPERTIES and v not in ("", None)}
    return label + _lines(properties)


def _lines(values: Mapping[str, Any]) -> str:
    shown = ((name, str(value)) for name, value in sorted(values.items()))
    return "".join(f"\n  {escape(name)} = {escape(_shorten(text))}" for name, text in shown)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}… ({len(text)} characters)"
