"""Kinds of models that people have, each held against what Keras itself computes, and run by LiteRT in a plain loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from tensorflow.core.protobuf import saved_model_pb2
from tf_keras.protobuf import saved_metadata_pb2

from slimline.core.inspection import inspect_model
from slimline.core.models.loading import SavedModelGraph, load_keras_model, load_model
from slimline.core.models.weights import count_kernels
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.errors import ModelError

RANDOM = np.random.default_rng(0)
SENSOR = RANDOM.normal(size=(32, 4)).astype(np.float32)
CONTEXT = RANDOM.normal(size=(32, 3)).astype(np.float32)


def run_alone(content, inputs):
    """Runs a file with LiteRT alone, one record after the other."""
    interpreter = Interpreter(model_content=content)
    runner = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
    length = len(next(iter(inputs.values())))
    rows = [runner(**{name: values[row : row + 1] for name, values in inputs.items()}) for row in range(length)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def as_float32(model):
    return quantize(model, QuantizationConfig(scheme="float32"))


def named_by_keys(library):
    """Inputs and outputs are dictionaries, whose keys sort the other way round than the layers' names."""
    library.utils.set_random_seed(0)
    layers = library.layers
    sensor, context = layers.Input((4,), name="sensor"), layers.Input((3,), name="context")
    hidden = layers.Dense(8, activation="relu", name="trunk")(layers.Concatenate()([sensor, context]))
    kind, price = layers.Dense(2, activation="softmax", name="head_1"), layers.Dense(1, name="head_2")
    model = library.Model({"b_in": sensor, "a_in": context}, {"z_class": kind(hidden), "a_price": price(hidden)})
    losses = {"z_class": "sparse_categorical_crossentropy", "a_price": "mse"}
    model.compile("adam", losses, loss_weights={"z_class": 3.0, "a_price": 0.5})
    return model


@pytest.mark.parametrize("library", [tf_keras, keras])
def test_keys_of_dictionaries_need_not_be_the_layers_names(library, tmp_path):
    model = named_by_keys(library)
    model.save(tmp_path / "model.keras")
    wanted = model({"b_in": SENSOR, "a_in": CONTEXT})
    loaded = load_keras_model(tmp_path)
    given = run_alone(as_float32(loaded), {"sensor": SENSOR, "context": CONTEXT})
    np.testing.assert_allclose(given["head_1"], np.asarray(wanted["z_class"]), atol=1e-5)
    np.testing.assert_allclose(given["head_2"], np.asarray(wanted["a_price"]), atol=1e-5)

    labels = {"head_1": np.zeros(32, np.int64), "head_2": np.zeros((32, 1), np.float32)}
    examples = {"sensor": SENSOR, "context": CONTEXT}
    data = tf.data.Dataset.from_tensor_slices((examples, labels)).batch(16)
    pruned = prune(loaded, data, 32, PruningConfig(target_sparsity=0.5, epochs=1, batch_size=16)).model
    outputs = dict(zip(pruned.output_names, pruned([examples[name] for name in pruned.input_names]), strict=True))
    crossentropy = tf_keras.losses.sparse_categorical_crossentropy(labels["head_1"], outputs["head_1"])
    expected = 3.0 * np.mean(crossentropy) + 0.5 * np.mean(np.square(outputs["head_2"]))
    ordered = [labels[name] for name in pruned.output_names]
    loss = pruned.evaluate([examples[name] for name in pruned.input_names], ordered, verbose=0, return_dict=True)[
        "loss"
    ]
    assert loss == pytest.approx(expected, rel=1e-4)


def test_a_model_of_keras_3_in_memory_needs_no_file():
    model = named_by_keys(keras)
    wanted = model({"b_in": SENSOR, "a_in": CONTEXT})
    given = run_alone(as_float32(model), {"sensor": SENSOR, "context": CONTEXT})
    np.testing.assert_allclose(given["head_1"], np.asarray(wanted["z_class"]), atol=1e-5)
    assert {finding.verdict for finding in inspect_model(model).findings} == {"applies"}


def augmented():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    changing = [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.5), layers.RandomZoom(0.2)]
    kept = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(2, name="scores")]
    return keras.Sequential([layers.Input((16, 16, 3), name="image"), *changing, *kept])


def test_augmentation_of_keras_3_is_left_out(tmp_path):
    model = augmented()
    images = RANDOM.random((8, 16, 16, 3)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    given = run_alone(as_float32(load_keras_model(tmp_path)), {"image": images})
    np.testing.assert_allclose(given["scores"], np.asarray(model(images, training=False)), atol=1e-5)


def test_an_exported_function_that_augments_is_refused_with_the_way_out(tmp_path):
    augmented().export(tmp_path / "exported", verbose=False)
    with pytest.raises(ModelError, match=r"augmentation layers are on[\s\S]*model\.save"):
        as_float32(load_model(tmp_path / "exported"))


def test_a_recurrent_layer_in_an_export_is_refused_with_a_way_out_that_works(tmp_path):
    keras.utils.set_random_seed(0)
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    states = keras.layers.LSTM(5)(keras.layers.Embedding(20, 4)(tokens))
    model = keras.Model(tokens, keras.layers.Dense(2, name="scores")(states))
    model.export(tmp_path / "exported", verbose=False)
    with pytest.raises(ModelError, match=r"open batch[\s\S]*model\.save"):
        as_float32(load_model(tmp_path / "exported"))
    model.save(tmp_path / "model.keras")
    sequences = RANDOM.integers(0, 20, (1, 6)).astype(np.int32)
    given = run_alone(as_float32(load_model(tmp_path / "model.keras")), {"tokens": sequences})
    np.testing.assert_allclose(given["scores"], np.asarray(model(sequences)), atol=1e-5)


class Lowercase(tf_keras.layers.Layer):
    """Stands for a layer that only the Trainer's own code knows, as TensorFlow Transform's."""

    def __init__(self):
        super().__init__()
        self.kernel = self.add_weight(name="unused", shape=(7,))

    def call(self, values):
        return tf.strings.lower(values)


def test_a_layer_that_is_attached_and_not_in_the_graph_is_no_layer_of_the_model(tmp_path):
    tf_keras.utils.set_random_seed(0)
    sensor = tf_keras.Input((4,), name="sensor")
    model = tf_keras.Model(sensor, tf_keras.layers.Dense(2, name="scores")(sensor))
    model.compile("sgd", "mse")
    wanted, kernels = np.asarray(model(SENSOR)), count_kernels(model)
    model.tft_layer = Lowercase()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(examples):
        parsed = tf.io.parse_example(model.tft_layer(examples), {"sensor": tf.io.FixedLenFeature([4], tf.float32)})
        return {"scores": model(parsed["sensor"])}

    model.save(tmp_path / "model", save_format="tf", signatures={"serving_default": serve})
    loaded = load_keras_model(tmp_path / "model")
    np.testing.assert_allclose(run_alone(as_float32(loaded), {"sensor": SENSOR})["scores"], wanted, atol=1e-5)
    assert count_kernels(loaded) == kernels
    assert loaded.count_params() == 10
    assert callable(loaded.loss)


def test_a_signature_for_examples_alone_is_refused_with_the_easiest_way_out_first(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(examples):
        return {"length": tf.strings.length(examples)}

    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"serving_default": serve})
    with pytest.raises(ModelError, match=r"To do: write the Keras model beside it[\s\S]*Or add such a signature"):
        load_model(tmp_path)


def test_a_saved_model_from_before_tensorflow_2_5_is_a_keras_model(tmp_path):
    sensor = tf_keras.Input((4,), name="sensor")
    model = tf_keras.Model(sensor, tf_keras.layers.Dense(2, name="scores")(sensor))
    model.save(tmp_path / "model", save_format="tf")
    # What was a file of its own later lay in the graph's nodes, where Keras still reads it.
    metadata = saved_metadata_pb2.SavedMetadata.FromString((tmp_path / "model/keras_metadata.pb").read_bytes())
    content = saved_model_pb2.SavedModel.FromString((tmp_path / "model/saved_model.pb").read_bytes())
    for node in metadata.nodes:
        content.meta_graphs[0].object_graph_def.nodes[node.node_id].user_object.metadata = node.metadata
    (tmp_path / "model/saved_model.pb").write_bytes(content.SerializeToString())
    (tmp_path / "model/keras_metadata.pb").unlink()
    loaded = load_model(tmp_path / "model")
    assert not isinstance(loaded, SavedModelGraph)
    np.testing.assert_allclose(loaded(SENSOR), model(SENSOR), atol=1e-6)
