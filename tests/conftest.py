"""Fixtures: real images, a small model trained on them, and TFX artifacts on disk."""

import os

# Before TensorFlow is imported anywhere.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import text_format
from sklearn.datasets import load_digits
from tensorflow_metadata.proto.v0 import schema_pb2

SCHEMA = """
feature { name: "image" type: FLOAT shape { dim { size: 64 } } presence { min_fraction: 1 } }
feature { name: "digit" type: INT shape { dim { size: 1 } } presence { min_fraction: 1 } }
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files first that are slow as a whole: else one process ends with them while the other has nothing."""
    items.sort(key=lambda item: not any(mark.name == "slow" for mark in _marks_of_module(item)))


def _marks_of_module(item: pytest.Item) -> list[pytest.Mark]:
    module = item.getparent(pytest.Module)
    return module.own_markers if module is not None else []


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """600 images of shape (600, 8, 8, 1) in [0, 1], and their labels."""
    images, labels = load_digits(return_X_y=True)
    return (images[:600] / 16).astype(np.float32).reshape(-1, 8, 8, 1), labels[:600]


@pytest.fixture
def dataset(digits) -> tf.data.Dataset:
    """The images in batches of 32, by input name."""
    images, labels = digits
    return tf.data.Dataset.from_tensor_slices(({"image": images}, labels)).batch(32)


@pytest.fixture(scope="session")
def trained(digits) -> tf_keras.Model:
    """A functional CNN with normalization, trained to about 0.95; tests must not change it."""
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    image = layers.Input((8, 8, 1), name="image")
    hidden = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(image)
    hidden = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(hidden))
    hidden = layers.Flatten(name="flatten")(layers.MaxPooling2D(name="pool")(hidden))
    hidden = layers.Dense(32, activation="relu", name="dense")(hidden)
    model = tf_keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(hidden), name="small")
    model.compile(tf_keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels = digits
    model.fit(images, labels, epochs=12, batch_size=32, verbose=0)
    return model


@pytest.fixture(scope="session")
def schema() -> schema_pb2.Schema:
    return text_format.Parse(SCHEMA, schema_pb2.Schema())


def example(image: np.ndarray, label: int) -> bytes:
    """Returns one serialized tf.Example as the digits pipeline writes it."""
    features = {
        "image": tf.train.Feature(float_list=tf.train.FloatList(value=image.ravel())),
        "digit": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def write_records(path: Path, records: list[bytes], *, compressed: bool = True) -> Path:
    """Writes a TFRecord file with TensorFlow's own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), options="GZIP" if compressed else None) as writer:
        for record in records:
            writer.write(record)
    return path


@pytest.fixture(scope="session")
def examples_folder(digits, tmp_path_factory) -> Path:
    """An Examples artifact's folder: 400 train examples in two files, 200 eval examples in one."""
    images, labels = digits
    records = [example(image, int(label)) for image, label in zip(images, labels, strict=True)]
    folder = tmp_path_factory.mktemp("examples")
    write_records(folder / "Split-train" / "data-00000-of-00002.gz", records[:200])
    write_records(folder / "Split-train" / "data-00001-of-00002.gz", records[200:400])
    write_records(folder / "Split-eval" / "data-00000-of-00001.gz", records[400:])
    return folder
