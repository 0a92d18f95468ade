"""What the benchmarks share: data that ships with scikit-learn, models trained on the spot, accuracy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from slimline.core.quantization.backends.base import Representative
from slimline.core.tflite.runtime import TFLiteModel

BATCH_SIZE = 32


@dataclass(frozen=True)
class Task:
    """A classification task.

    Attributes:
      train: (inputs, labels) of the training split.
      evaluation: (inputs, labels) of the evaluation split.
      input_name: Of the models' only input.
    """

    train: tuple[np.ndarray, np.ndarray]
    evaluation: tuple[np.ndarray, np.ndarray]
    input_name: str

    @property
    def num_examples(self) -> int:
        """Examples of the training split."""
        return len(self.train[1])

    def dataset(self) -> tf.data.Dataset:
        """The training split, shuffled, in batches of 32."""
        dataset = tf.data.Dataset.from_tensor_slices(({self.input_name: self.train[0]}, self.train[1])).cache()
        return dataset.shuffle(self.num_examples, seed=0).batch(BATCH_SIZE)

    def representative(self, num_records: int = 256) -> Representative:
        """The first records of the training split, one by one."""

        def read() -> Iterator[Mapping[str, np.ndarray]]:
            return ({self.input_name: self.train[0][index : index + 1]} for index in range(num_records))

        return read

    def accuracy(self, content: bytes) -> float:
        """The accuracy of a `.tflite` file on the evaluation split."""
        model = TFLiteModel(content, "candidate")
        # Files of other makers may have named the only input otherwise.
        (name,) = model.inputs
        (scores,) = model.predict({name: self.evaluation[0]}).values()
        return float(np.mean(scores.argmax(axis=1) == self.evaluation[1]))


def digits() -> Task:
    """The digits of scikit-learn, split as the pipeline `digits` splits them."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.25, random_state=0, stratify=labels)
    train, evaluation = (np.float32(part).reshape(-1, 8, 8, 1) for part in parts[:2])
    return Task((train, parts[2]), (evaluation, parts[3]), "image")


def train_float(model: tf_keras.Model, task: Task, epochs: int) -> tf_keras.Model:
    """Trains a compiled model with a falling rate; the same weights every time."""
    rate = float(model.optimizer.learning_rate.numpy())

    def fall(epoch: int) -> float:
        return rate if epoch < epochs * 0.6 else rate / 10

    model.fit(task.dataset(), epochs=epochs, callbacks=[tf_keras.callbacks.LearningRateScheduler(fall)], verbose=0)
    return model
