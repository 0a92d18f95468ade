"""Trains a small convolutional network: the module that TFX's Trainer runs."""

import tensorflow as tf
import tf_keras
from tfx.components.trainer.fn_args_utils import FnArgs

from slimline_pipelines.digits.data import IMAGE_KEY, IMAGE_SHAPE, LABEL_KEY, NUM_CLASSES

_BATCH_SIZE = 32
_LEARNING_RATE = 2e-3
_SEED = 1
_NUM_PIXELS = IMAGE_SHAPE[0] * IMAGE_SHAPE[1]


def build_model() -> tf_keras.Model:
    """Returns the network, compiled: 94,000 parameters, images of 8 x 8 in [0, 1] to ten probabilities."""
    layers = tf_keras.layers
    image = layers.Input(IMAGE_SHAPE, name=IMAGE_KEY)
    hidden = layers.Conv2D(32, 3, padding="same", use_bias=False, name="conv_1")(image)
    hidden = layers.BatchNormalization(name="norm_1")(hidden)
    hidden = layers.ReLU(name="relu_1")(hidden)
    hidden = layers.Conv2D(32, 3, padding="same", use_bias=False, name="conv_2")(hidden)
    hidden = layers.BatchNormalization(name="norm_2")(hidden)
    hidden = layers.ReLU(name="relu_2")(hidden)
    hidden = layers.MaxPooling2D(name="pool")(hidden)
    hidden = layers.Dropout(0.3, name="dropout_1")(layers.Flatten(name="flatten")(hidden))
    hidden = layers.Dense(160, activation="relu", name="dense")(hidden)
    hidden = layers.Dropout(0.3, name="dropout_2")(hidden)
    scores = layers.Dense(NUM_CLASSES, activation="softmax", name="probabilities")(hidden)
    model = tf_keras.Model(image, scores, name="digits")
    model.compile(
        optimizer=tf_keras.optimizers.Adam(_LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def run_fn(fn_args: FnArgs) -> None:
    """Trains on the train split and exports the model; TFX's Trainer calls this."""
    tf_keras.utils.set_random_seed(_SEED)
    model = build_model()
    train = _read(fn_args.train_files).cache().shuffle(2_000, seed=_SEED).batch(_BATCH_SIZE).repeat()
    evaluation = _read(fn_args.eval_files).batch(_BATCH_SIZE)
    steps_per_epoch = 43
    model.fit(
        train,
        steps_per_epoch=steps_per_epoch,
        epochs=fn_args.train_steps // steps_per_epoch,
        validation_data=evaluation,
        verbose=2,
    )
    model.save(fn_args.serving_model_dir, save_format="tf")


def _read(patterns: list[str]) -> tf.data.Dataset:
    spec = {
        IMAGE_KEY: tf.io.FixedLenFeature([_NUM_PIXELS], tf.float32),
        LABEL_KEY: tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(serialized, spec)
        return tf.reshape(parsed[IMAGE_KEY], IMAGE_SHAPE), parsed[LABEL_KEY]

    files = sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    return tf.data.TFRecordDataset(files, compression_type="GZIP").map(parse)
