"""TFX artifacts made by hand, for executors that are called without a pipeline."""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact

from slimline import ExamplesConfig
from slimline.core.models.saving import save_keras_model
from tests.conftest import SCHEMA, write_records
from tests.zoo import NUM_EXAMPLES, Specimen


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


def specimen_artifacts(specimen: Specimen, folder: Path) -> dict[str, list[Artifact]]:
    """Model, Examples and Schema of a model of the zoo, as TFX would hand them to a component."""
    features = {**specimen.inputs, **label_features(specimen)}
    records = [_example({name: values[row] for name, values in features.items()}) for row in range(NUM_EXAMPLES)]
    for split in ("train", "eval"):
        write_records(folder / "examples" / f"Split-{split}" / "data-00000-of-00001.gz", records)
    if isinstance(specimen.model, tf_keras.Model):
        model = model_artifact(folder / "model", specimen.model)
    else:
        (folder / "model" / "Format-Serving").mkdir(parents=True)
        specimen.model.save(folder / "model" / "Format-Serving" / "model.keras")
        model = model_artifact(folder / "model")
    schema = "".join(_feature(name, values) for name, values in features.items())
    return {
        "model": [model],
        "examples": [examples_artifact(folder / "examples")],
        "schema": [schema_artifact(folder / "schema", schema)],
    }


def label_features(specimen: Specimen) -> dict[str, np.ndarray]:
    """The labels of a model of the zoo by the name of their feature; none for an autoencoder."""
    if isinstance(specimen.labels, dict):
        return {f"{name}_label": values for name, values in specimen.labels.items()}
    is_input = any(values is specimen.labels for values in specimen.inputs.values())
    return {} if is_input else {"label": specimen.labels}


def specimen_data(specimen: Specimen) -> ExamplesConfig:
    """How the Examples of a model of the zoo are read."""
    if isinstance(specimen.labels, dict):
        return ExamplesConfig(label_key={name: f"{name}_label" for name in specimen.labels})
    return ExamplesConfig(label_key="label") if label_features(specimen) else ExamplesConfig(label_is_input=True)


def _example(values: dict[str, np.ndarray]) -> bytes:
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=np.ravel(array)))
        if np.issubdtype(array.dtype, np.integer)
        else tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(array)))
        for name, array in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _feature(name: str, values: np.ndarray) -> str:
    kind = "INT" if np.issubdtype(values.dtype, np.integer) else "FLOAT"
    size = int(np.prod(values.shape[1:]))
    return f'feature {{ name: "{name}" type: {kind} shape {{ dim {{ size: {size} }} }} }}\n'
