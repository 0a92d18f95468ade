"""The 1,797 handwritten digits of scikit-learn as TFRecord files with a train and an eval split.

They are 8 x 8 images with 17 grey levels from the UCI repository
(https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits).
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

IMAGE_KEY = "image"
LABEL_KEY = "digit"
IMAGE_SHAPE = (8, 8, 1)
NUM_CLASSES = 10
_MAX_GREY = 16.0
_EVAL_SHARE = 0.25
_SEED = 0


def write_examples(root: Path) -> None:
    """Writes `root/data/train/digits.tfrecord.gz` and `root/data/eval/…`: 1,347 and 450 examples.

    Files that are there with the same bytes stay untouched: ExampleGen tells changed data by the files' times.
    """
    images, labels = load_digits(return_X_y=True)
    splits = train_test_split(images / _MAX_GREY, labels, test_size=_EVAL_SHARE, random_state=_SEED, stratify=labels)
    train_images, eval_images, train_labels, eval_labels = splits
    _write(root / "data" / "train" / "digits.tfrecord.gz", train_images, train_labels)
    _write(root / "data" / "eval" / "digits.tfrecord.gz", eval_images, eval_labels)


def _write(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with tf.io.TFRecordWriter(str(partial), options="GZIP") as writer:
        for image, label in zip(images, labels, strict=True):
            writer.write(_example(image, int(label)).SerializeToString(deterministic=True))
    if path.exists() and path.read_bytes() == partial.read_bytes():
        partial.unlink()
    else:
        partial.rename(path)


def _example(image: np.ndarray, label: int) -> tf.train.Example:
    features = {
        IMAGE_KEY: tf.train.Feature(float_list=tf.train.FloatList(value=image)),
        LABEL_KEY: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))
