"""TFX artifacts made by hand, for executors that are called without a pipeline."""

from pathlib import Path

import tf_keras
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact

from slimline.core.model_io import save_keras_model
from tests.conftest import SCHEMA


def examples_artifact(folder: Path, splits: tuple[str, ...] = ("train", "eval")) -> Artifact:
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(splits))
    examples_utils.set_payload_format(artifact, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    return artifact


def schema_artifact(folder: Path, text: str = SCHEMA) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.pbtxt").write_text(text)
    artifact = standard_artifacts.Schema()
    artifact.uri = str(folder)
    return artifact


def model_artifact(folder: Path, model: tf_keras.Model | None = None) -> Artifact:
    if model is not None:
        save_keras_model(model, folder)
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    return artifact


def output(artifact_class: type[Artifact], folder: Path) -> Artifact:
    artifact = artifact_class()
    artifact.uri = str(folder)
    return artifact


def channel(artifact_class: type[Artifact], producer: str | None = None) -> object:
    """A channel as another component's output would be."""
    from tfx.types.channel import Channel

    return Channel(type=artifact_class, producer_component_id=producer)
