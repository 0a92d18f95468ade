"""How two artifacts came about differently: steps, parameters, inputs, results and versions."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from slimline.lineage.graph import Lineage
from slimline.lineage.parameters import lay_out
from slimline.lineage.records import ArtifactNode, ExecutionNode
from slimline.names import metadata_keys

# They differ between any two runs, and say nothing of how models differ.
_BOOKKEEPING = {
    *("tfx_version", "is_external", "name", "producer_component", "pipeline_name", "state", "display_name"),
    *("store_session_info", "current_model", "current_model_id", "pushed_destination", "pushed_version"),
    *(metadata_keys.STEP_DIGEST, metadata_keys.MANIFEST_DIGEST),
}
Environments = Mapping[str, Mapping[str, Any]]
# Id of the component, and how many times it ran after that.
Key: TypeAlias = tuple[str, int]


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same.

    Attributes:
      step: Id of the component.
      kind: `step`, `parameter`, `input`, `result` or `environment`.
      name: Of the parameter, input, property or package.
      one: With the first artifact; None when it is not there.
      other: With the second artifact; None when it is not there.
    """

    step: str
    kind: str
    name: str
    one: Any
    other: Any

    def to_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
      lineage: Of the artifact.
      environments: What each step ran with, by component, as far as its statement tells.
    """

    lineage: Lineage
    environments: Environments


def differences(one: Side, other: Side) -> list[Difference]:
    """Returns all differences, in the order in which the steps ran.

    Steps are the same by the component's id; of one that ran several times, as in a chain of warm starts, the last of
    one is held against the last of the other, and so on backwards. Steps of other names are held against each other
    when both are the only ones left of their class: two Quantizers of one pipeline.
    """
    ours, theirs = _by_step(one.lineage), _by_step(other.lineage)
    found: list[Difference] = []
    for key, partner in _pairs(ours, theirs):
        if key is None or partner is None:
            ran = ("ran", None) if key is not None else (None, "ran")
            found.append(Difference(_title(key or partner), "step", "", *ran))
        else:
            title = _title(key) if key == partner else f"{_title(key)} / {_title(partner)}"
            found += _between(title, (one, ours[key]), (other, theirs[partner]))
    return found


def _by_step(lineage: Lineage) -> dict[Key, ExecutionNode]:
    counts: dict[str, int] = {}
    found = {}
    for execution in sorted(lineage.executions.values(), key=lambda e: e.id, reverse=True):
        name = execution.node or execution.type
        found[name, counts.get(name, 0)] = execution
        counts[name] = counts.get(name, 0) + 1
    return dict(reversed(found.items()))


def _pairs(
    ours: Mapping[Key, ExecutionNode], theirs: Mapping[Key, ExecutionNode]
) -> Iterator[tuple[Key | None, Key | None]]:
    alone, strangers = [k for k in ours if k not in theirs], [k for k in theirs if k not in ours]
    partners = {}
    for key in alone:
        same = [k for k in alone if ours[k].type == ours[key].type]
        left = [k for k in strangers if theirs[k].type == ours[key].type]
        if len(same) == len(left) == 1:
            partners[key] = left[0]
    for key in dict.fromkeys((*ours, *theirs)):
        if key in ours:
            yield key, key if key in theirs else partners.get(key)
        elif key not in partners.values():
            yield None, key


def _title(key: Key | None) -> str:
    name, number = key or ("", 0)
    return f"{name} ({number} before the last)" if number else name


def _between(step: str, one: tuple[Side, ExecutionNode], other: tuple[Side, ExecutionNode]) -> Iterator[Difference]:
    (side, execution), (other_side, other_execution) = one, other
    parts = {
        "parameter": (lay_out(execution.parameters), lay_out(other_execution.parameters)),
        "input": (_contents(side.lineage, execution.inputs), _contents(other_side.lineage, other_execution.inputs)),
        "result": (_results(side.lineage, execution), _results(other_side.lineage, other_execution)),
    }
    environments = _environment(side, execution), _environment(other_side, other_execution)
    if all(environments):
        # A step without a statement beside the model ran with what nobody knows.
        parts["environment"] = environments
    for kind, (before, after) in parts.items():
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                yield Difference(step, kind, name, before.get(name), after.get(name))


def _contents(lineage: Lineage, sides: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Returns what each input is: by its digest where one is recorded, else by its id in the store."""
    return {key: ", ".join(_identity(lineage.artifacts.get(id_), id_) for id_ in ids) for key, ids in sides.items()}


def _identity(node: ArtifactNode | None, id_: int) -> str:
    properties = node.properties if node else {}
    digest = properties.get(metadata_keys.CONTENT_DIGEST) or properties.get(metadata_keys.MANIFEST_DIGEST)
    span = f", span {properties['span']}" if "span" in properties else ""
    return str(digest) if digest else f"{node.type if node else 'artifact'} {id_}{span}"


def _results(lineage: Lineage, execution: ExecutionNode) -> dict[str, Any]:
    return {
        f"{key}.{name}": value
        for key, ids in execution.outputs.items()
        for id_ in ids
        if id_ in lineage.artifacts
        for name, value in lineage.artifacts[id_].properties.items()
        if name not in _BOOKKEEPING
    }


def _environment(side: Side, execution: ExecutionNode) -> dict[str, Any]:
    told = side.environments.get(execution.node, {})
    flat: dict[str, Any] = {}
    for name, value in told.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    return flat
