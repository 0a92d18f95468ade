"""Finds the artifacts that a file or folder is: by its content, by the id in it, or by its place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ml_metadata import errors as mlmd_errors
from ml_metadata.metadata_store import ListOptions
from ml_metadata.metadata_store.metadata_store import MetadataStore

from slimline.core.digest import file_digest, model_digest
from slimline.errors import LineageError, ModelError
from slimline.lineage.graph import artifacts_by_id
from slimline.lineage.places import Places
from slimline.lineage.records import ArtifactNode, to_node
from slimline.names import file_names, metadata_keys
from slimline.provenance.manifest import manifest_of

_MODEL_TYPES = ("Model", "PushedModel")
# They carry the digest of the model that they bless: statements about the model, not the model.
_BLESSING_TYPES = ("ModelBlessing", "InfraBlessing")
# What a query can't hold without a dialect of its own.
_UNQUOTABLE = set("'\"\\\n")


class FoundBy(StrEnum):
    """What ties a file to an artifact.

    A content digest is an identity. An id in the file and a place are claims: the bytes are not those that were
    recorded, or none were.
    """

    CONTENT = "content"
    PROVENANCE_ID = "provenance_id"
    PLACE = "place"
    ID = "id"


@dataclass(frozen=True)
class Found:
    """The artifacts that a file or folder is.

    Attributes:
      digest: Of the content that was looked for; empty for a folder that is no model's.
      by: What ties them.
      artifacts: The newest last, and behind it one that lies where the user pointed; the last is the answer.
    """

    digest: str
    by: FoundBy
    artifacts: tuple[ArtifactNode, ...]

    @property
    def artifact(self) -> ArtifactNode:
        """The answer."""
        return self.artifacts[-1]

    @property
    def recorded(self) -> str:
        """The digest on record for the answer: of the model, or of all files of what is none; empty without one."""
        is_model = self.artifact.type in _MODEL_TYPES
        key = metadata_keys.CONTENT_DIGEST if is_model else metadata_keys.MANIFEST_DIGEST
        return str(self.artifact.properties.get(key) or "")

    @property
    def is_changed(self) -> bool:
        """Whether other bytes were recorded for the artifact than are there now."""
        return self.by in (FoundBy.PROVENANCE_ID, FoundBy.PLACE) and bool(self.recorded)


def find(store: MetadataStore, path: Path, folder: Path) -> Found:
    """Returns the artifacts that a file or folder is.

    Slimline's components record their outputs' digests. TFX's own do not: for those the artifacts' files are read, as
    far as they are on this machine. What is no model is known by its place, and compared with the digest of all its
    files where one is recorded: examples may be large, and are not read for nothing.

    Args:
      store: Opened.
      path: A model's file or folder; or the folder of any artifact, where it lies.
      folder: Of the store's file: below it artifacts lie when their root was moved.

    Raises:
      LineageError: There is nothing at `path`, or the store knows nothing of it.
      ModelError: It is no file and no folder.
    """
    require_something(path)
    here = [node for node in _select(store, "uri", str(path.resolve())) if node.type not in _MODEL_TYPES]
    if here:
        return _at_place(here, path, "")
    digest = _digest_of(path)
    recorded = _select(store, f"custom_properties.{metadata_keys.CONTENT_DIGEST}.string_value", digest)
    by_content = [node for node in recorded if digest and node.type not in _BLESSING_TYPES]
    if by_content:
        return Found(digest, FoundBy.CONTENT, _in_order(by_content, path, Places(folder, (n.uri for n in by_content))))
    models = [to_node(artifact) for kind in _MODEL_TYPES for artifact in store.get_artifacts_by_type(kind)]
    places = Places(folder, (node.uri for node in models))
    by_files = _by_files(models, digest, places)
    if by_files:
        return Found(digest, FoundBy.CONTENT, _in_order(by_files, path, places))
    by_id = _by_provenance_id(store, path)
    if by_id:
        return Found(digest, FoundBy.PROVENANCE_ID, _in_order(by_id, path, places))
    by_place = _by_place(store, path, places)
    if by_place:
        return _at_place(_in_order(by_place, path, places), path, digest)
    raise LineageError(
        f"{digest or 'a folder'}, the content of {path}, which is on record for none of the store's artifacts",
        "a file that a recorded pipeline wrote, unchanged; or the folder of an artifact",
        "give --metadata the store of the pipeline that wrote it; if this is that store, the file was changed",
    )


def artifact_by_id(store: MetadataStore, artifact_id: int) -> Found:
    """Returns an artifact by its id in the store.

    Raises:
      LineageError: The store has none with this id.
    """
    nodes = artifacts_by_id(store, [artifact_id])
    if not nodes:
        raise LineageError(
            f"no artifact {artifact_id} in the store", "an id that it holds", "check the id, and --metadata"
        )
    return Found("", FoundBy.ID, tuple(nodes))


def require_something(path: Path) -> None:
    """Makes sure that there is a file, or a folder with something in it.

    Raises:
      LineageError: There is nothing.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        raise LineageError(f"nothing at {path}", "a model's file or folder", "check the path")


def _at_place(nodes: Sequence[ArtifactNode], path: Path, digest: str) -> Found:
    """Returns what lies at a place; what is no model is compared with the digest of all its files."""
    found = Found(digest, FoundBy.PLACE, tuple(nodes))
    if found.artifact.type in _MODEL_TYPES or not found.recorded:
        return found
    files = manifest_of(path).digest
    return Found(files, FoundBy.CONTENT if files == found.recorded else FoundBy.PLACE, tuple(nodes))


def _digest_of(path: Path) -> str:
    """Returns the digest of a model; empty for a folder that can't be one, as with links in it."""
    try:
        return model_digest(path)
    except ModelError:
        if path.is_dir():
            return ""
        raise


def tflite_in(path: Path) -> Path | None:
    """Returns the `.tflite` file that a path is, or that a model's folder holds; None without one."""
    inside = (path / file_names.SERVING_FOLDER / file_names.TFLITE, path / file_names.TFLITE)
    return path if path.is_file() else next((place for place in inside if place.is_file()), None)


def _by_files(models: Iterable[ArtifactNode], digest: str, places: Places) -> list[ArtifactNode]:
    """Reads the files of those models of which no digest is recorded."""
    unrecorded = (node for node in models if not node.properties.get(metadata_keys.CONTENT_DIGEST))
    return [node for node in unrecorded if _holds(places.find(node.uri), digest)]


def _by_provenance_id(store: MetadataStore, path: Path) -> list[ArtifactNode]:
    file = tflite_in(path)
    stamped = _stamped(file) if file else None
    return _select(store, f"custom_properties.{metadata_keys.PROVENANCE_ID}.string_value", stamped) if stamped else []


def _by_place(store: MetadataStore, path: Path, places: Places) -> list[ArtifactNode]:
    """Returns the artifacts that were written where `path` is or, for a file, where its folder is."""
    absolute = path.resolve()
    folders = [absolute, *list(absolute.parents)[:2]] if path.is_file() else [absolute]
    if absolute.name == file_names.SERVING_FOLDER:
        folders.append(absolute.parent)
    if places.old_root:
        folders += [places.recorded(folder) for folder in folders]
    for folder in folders:
        for key in ("uri", f"custom_properties.{metadata_keys.PUSHED_DESTINATION}.string_value"):
            found = _select(store, key, str(folder))
            if found:
                return found
    return []


def _select(store: MetadataStore, key: str, value: str) -> list[ArtifactNode]:
    """Returns the artifacts of which a value is recorded; read one by one where the store can't be asked for it."""
    if not set(value) & _UNQUOTABLE:
        try:
            answer = store.get_artifacts(ListOptions(filter_query=f"{key} = '{value}'"))
            return [to_node(artifact) for artifact in answer]
        except mlmd_errors.UnimplementedError:
            pass
    name = key.split(".")[1] if "." in key else ""
    nodes = (to_node(artifact) for artifact in store.get_artifacts())
    return [node for node in nodes if (node.properties.get(name) if name else node.uri) == value]


def _in_order(nodes: Sequence[ArtifactNode], path: Path, places: Places) -> tuple[ArtifactNode, ...]:
    """Sorts by age; of several with the same bytes, the one that lies where the user points comes last."""
    absolute = path.resolve()
    return tuple(sorted(nodes, key=lambda node: (absolute.is_relative_to(places.find(node.uri).resolve()), node.id)))


def _stamped(file: Path) -> str | None:
    # Only now: it needs the format's schema, and nine of ten files are known by their content.
    from slimline.core.tflite.provenance import read_provenance_id

    return read_provenance_id(file.read_bytes())


def _holds(folder: Path, digest: str) -> bool:
    if not folder.is_dir():
        return False
    return digest in (model_digest(folder), *(file_digest(file) for file in folder.iterdir() if file.is_file()))
