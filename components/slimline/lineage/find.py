"""Finds the artifact that a file or folder is, by its content."""

from pathlib import Path

from ml_metadata.metadata_store.metadata_store import MetadataStore

from slimline.core.digest import file_digest, model_digest
from slimline.errors import LineageError
from slimline.lineage.graph import ArtifactNode, to_node
from slimline.names import metadata_keys

_MODEL_TYPES = ("Model", "PushedModel")
# They carry the digest of the model that they bless: statements about the model, not the model.
_BLESSING_TYPES = ("ModelBlessing", "InfraBlessing")


def digest_of(path: Path) -> str:
    """Returns the content digest of a model's file or folder.

    Raises:
      LineageError: There is nothing.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        raise LineageError(f"nothing at {path}", "a model's file or folder", "check the path")
    return model_digest(path)


def find_by_content(store: MetadataStore, path: Path) -> list[ArtifactNode]:
    """Returns the artifacts that hold exactly what `path` holds, the newest last.

    Slimline's components record their outputs' digests. TFX's own do not: for those the artifacts' files are read, as
    far as they are on this machine.

    Raises:
      LineageError: No artifact has this content.
    """
    digest = digest_of(path)
    artifacts = [to_node(artifact) for artifact in store.get_artifacts()]
    recorded = [node for node in artifacts if node.properties.get(metadata_keys.CONTENT_DIGEST) == digest]
    matches = [node for node in recorded if node.type not in _BLESSING_TYPES] or [
        node for node in artifacts if node.type in _MODEL_TYPES and _holds(node, digest)
    ]
    if not matches:
        raise LineageError(
            f"{digest}, the content of {path}, which is on record for none of the store's {len(artifacts)} artifacts",
            "a file that a recorded pipeline wrote, unchanged",
            "give --metadata the store of the pipeline that wrote it; if this is that store, the file was changed",
        )
    return sorted(matches, key=lambda node: node.id)


def _holds(node: ArtifactNode, digest: str) -> bool:
    folder = Path(node.uri)
    if not folder.is_dir():
        return False
    return digest in (model_digest(folder), *(file_digest(file) for file in folder.iterdir() if file.is_file()))
