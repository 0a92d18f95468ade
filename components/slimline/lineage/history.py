"""What was pushed to a place over time, and what lies there now."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store.metadata_store import MetadataStore

from slimline.core.digest import model_digest
from slimline.errors import SlimlineError
from slimline.lineage.graph import trace
from slimline.lineage.places import Places
from slimline.lineage.records import ArtifactNode, ExecutionNode, to_node
from slimline.names import metadata_keys

_RUN_CONTEXT = "pipeline_run"


class State(StrEnum):
    """What became of a push."""

    AS_PUSHED = "as pushed"
    CHANGED = "changed since"
    GONE = "gone"
    # Nobody recorded what was pushed.
    UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Push:
    """One push.

    Attributes:
      pushed: The PushedModel.
      destination: Where the model was put, as recorded.
      place: Where that is now: elsewhere when the root was moved.
      execution: Of the Pusher; None when its row is gone.
      run: Name of the run; empty when it is not recorded.
      model: What was pushed; None when that is not recorded.
      blessing: What allowed it; None when nothing did.
      state: What lies there now.
    """

    pushed: ArtifactNode
    destination: str
    place: Path
    execution: ExecutionNode | None
    run: str
    model: ArtifactNode | None
    blessing: ArtifactNode | None
    state: State

    def to_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        properties: Mapping[str, Any] = self.model.properties if self.model else {}
        prefixes = (metadata_keys.METRIC_PREFIX, metadata_keys.DROP_PREFIX)
        return {
            "destination": self.destination,
            "place": str(self.place),
            "pushed_ms": self.execution.updated_ms if self.execution else None,
            "run": self.run,
            "pushed_artifact": self.pushed.id,
            "model_artifact": self.model.id if self.model else None,
            "content_digest": properties.get(metadata_keys.CONTENT_DIGEST),
            "chosen": properties.get(metadata_keys.CHOSEN),
            "figures": {name: value for name, value in properties.items() if name.startswith(prefixes)},
            "is_blessed": bool(self.blessing and self.blessing.properties.get(metadata_keys.BLESSED)),
            "state": str(self.state),
        }


@dataclass(frozen=True)
class History:
    """All that was pushed to a place.

    Attributes:
      pushes: The oldest first.
      unrecorded: What lies there and was pushed by no recorded run.
    """

    pushes: tuple[Push, ...]
    unrecorded: tuple[Path, ...]


def history_of(store: MetadataStore, destination: Path, folder: Path) -> History:
    """Returns what was pushed to a place, or below it.

    Args:
      store: Opened.
      destination: A serving folder, or one version in it; it need not exist any more.
      folder: Of the store's file; see `Places`.
    """
    nodes = [to_node(artifact) for artifact in store.get_artifacts_by_type("PushedModel")]
    pushed = [(node, str(node.properties.get(metadata_keys.PUSHED_DESTINATION, ""))) for node in nodes]
    uris = (uri for node, where in pushed for uri in (node.uri, where) if uri)
    places = Places(folder, uris)
    wanted = destination.resolve()
    here = [(node, where) for node, where in pushed if where and _is_below(where, wanted, places)]
    pushes = tuple(_push(store, node, where, places) for node, where in sorted(here, key=lambda item: item[0].id))
    known = {push.place.resolve() for push in pushes}
    lying = sorted(wanted.iterdir()) if wanted.is_dir() and wanted not in known else []
    return History(pushes, tuple(place for place in lying if place.is_dir() and place not in known))


def _is_below(where: str, wanted: Path, places: Places) -> bool:
    return Path(where).is_relative_to(places.recorded(wanted)) or places.find(where).resolve().is_relative_to(wanted)


def _push(store: MetadataStore, pushed: ArtifactNode, where: str, places: Places) -> Push:
    lineage = trace(store, pushed.id)
    maker = lineage.executions.get(lineage.producers.get(pushed.id, 0))
    by_key = {key: lineage.artifacts.get(ids[-1]) for key, ids in maker.inputs.items()} if maker else {}
    model = by_key.get("model")
    contexts = store.get_contexts_by_execution(maker.id) if maker else ()
    run = next((str(context.name) for context in contexts if context.type == _RUN_CONTEXT), "")
    place = places.find(where)
    state = _state(place, model)
    return Push(pushed, where, place, maker, run, model, by_key.get("model_blessing"), state)


def _state(place: Path, model: ArtifactNode | None) -> State:
    recorded = model.properties.get(metadata_keys.CONTENT_DIGEST) if model else None
    if not place.exists():
        return State.GONE
    if not recorded:
        return State.UNKNOWN
    try:
        found = model_digest(place)
    except SlimlineError:
        return State.CHANGED
    return State.AS_PUSHED if found == recorded else State.CHANGED
