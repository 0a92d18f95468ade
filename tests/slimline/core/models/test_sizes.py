"""Models of a fixed batch and of open sizes, held against Keras and a plain loop of LiteRT."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.evaluation.running_candidate import fits
from slimline.core.examples.features import match_inputs, to_inputs
from slimline.core.models.input_shapes import with_input_shapes
from slimline.core.models.loading import load_model
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.quantization.production import examine, gather_records, produce
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ExamplesError

LAYERS = tf_keras.layers
SERIES = np.random.default_rng(0).normal(size=(10, 12, 3)).astype(np.float32)
IMAGES = np.random.default_rng(1).random((6, 20, 14, 3)).astype(np.float32)


def on_series(batch):
    tf_keras.utils.set_random_seed(0)
    layers = [LAYERS.Input((12, 3), batch_size=batch, name="series"), LAYERS.Conv1D(8, 3), LAYERS.Flatten()]
    return tf_keras.Sequential([*layers, LAYERS.Dense(2, activation="softmax", name="scores")])


def saved_function(model, batch, folder):
    def serve(series):
        return {"scores": model(series, training=False)}

    spec = tf.TensorSpec([batch, 12, 3], tf.float32, name="series")
    module = tf.Module()
    module.model = model
    signatures = {"serving_default": tf.function(serve).get_concrete_function(spec)}
    tf.saved_model.save(module, str(folder), signatures=signatures)


def records():
    return ({"series": SERIES[row : row + 1]} for row in range(len(SERIES)))


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kind", ["keras", "function"])
def test_a_fixed_batch_is_quantized_and_tried(kind, batch, tmp_path):
    if kind == "keras":
        on_series(batch).save(tmp_path, save_format="tf")
    else:
        saved_function(on_series(None), batch, tmp_path)
    wanted = np.asarray(on_series(None)(SERIES))
    model = load_model(tmp_path)
    for scheme, tolerance in (("float32", 1e-5), ("int8", 0.05)):
        product = produce(model, QuantizationConfig(scheme=scheme), records)
        given = TFLiteModel(product.content, "it").predict({"series": SERIES})["scores"]
        np.testing.assert_allclose(given, wanted, atol=tolerance)
        gathered = gather_records(model, records)
        assert gathered is not None
        examination = examine(model, product, gathered)
        assert examination.outputs["scores"].max_abs_error == pytest.approx(np.abs(given - wanted).max(), abs=1e-5)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_function_of_a_fixed_batch_is_called_with_any_number_of_examples(batch, tmp_path):
    saved_function(on_series(None), batch, tmp_path)
    model = load_model(tmp_path)
    for number in (1, 3, 4, 10):
        given = tf.function(model)(tf.constant(SERIES[:number]))
        np.testing.assert_allclose(given, on_series(None)(SERIES[:number]), atol=1e-6)


def on_images():
    tf_keras.utils.set_random_seed(0)
    image = LAYERS.Input((None, None, 3), name="image")
    hidden = LAYERS.Conv2D(4, 3, padding="same", activation="relu")(image)
    scores = LAYERS.Dense(2, name="scores")(LAYERS.GlobalAveragePooling2D()(hidden))
    return tf_keras.Model(image, [scores, LAYERS.Conv2D(1, 1, name="mask")(hidden)])


@pytest.mark.parametrize("scheme", ["float32", "int8"])
def test_open_sizes_are_run_in_the_size_that_comes(scheme):
    model = on_images()

    def varied():
        return ({"image": image[None, : 12 + 2 * row]} for row, image in enumerate(IMAGES[:4]))

    content = quantize(model, QuantizationConfig(scheme=scheme), varied)
    tolerance = 1e-5 if scheme == "float32" else 0.1
    runnable = TFLiteModel(content, "it")
    assert runnable.input_shapes == {"image": (None, None, 3)}
    for images in (IMAGES, IMAGES[:, :9, :11], IMAGES):
        given = runnable.predict({"image": images})
        for name, wanted in zip(model.output_names, model(images), strict=True):
            np.testing.assert_allclose(given[name], wanted, atol=tolerance)


@pytest.mark.parametrize("kind", ["keras", "function"])
def test_a_size_that_is_asked_for_is_that_of_the_file(kind, tmp_path):
    model = on_images()
    if kind == "function":
        model.export(tmp_path)
    given = with_input_shapes(load_model(tmp_path) if kind == "function" else model, {})
    (name,) = given.input_names
    fixed = with_input_shapes(given, {name: (20, 14, 3)})
    content = quantize(fixed, QuantizationConfig(scheme="float32", static_batch=True))
    interpreter = Interpreter(model_content=content)
    assert interpreter.get_input_details()[0]["shape_signature"].tolist() == [1, 20, 14, 3]
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], IMAGES[:1])
    interpreter.invoke()
    found = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    scores = next(values for values in found if values.ndim == 2)
    np.testing.assert_allclose(scores, model(IMAGES[:1])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "found"),
    [({"picture": (8, 8, 3)}, "no input"), ({"image": (8, 8, 4)}, "of the shape"), ({"image": (8,)}, "")],
)
def test_a_size_that_does_not_fit_is_refused(shapes, found):
    with pytest.raises(ConfigError, match=found):
        with_input_shapes(on_images(), shapes)


@pytest.mark.parametrize(("sizes", "shape"), [([5, 4, 3], (2, 5, 4, 3)), ([60], None)])
def test_the_schema_says_the_size_of_examples(sizes, shape):
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="image", type=schema_pb2.FLOAT)
    for size in sizes:
        feature.shape.dim.add(size=size)
    if shape is None:
        with pytest.raises(ExamplesError, match="input_shape"):
            match_inputs(on_images(), schema, {}, frozenset())
        return
    inputs = match_inputs(on_images(), schema, {}, frozenset())
    assert to_inputs({"image": tf.zeros([2, *sizes])}, inputs, on_images())["image"].shape == shape


def test_open_sizes_fit_any():
    assert fits({"image": (8, 8, 3)}, {"image": (None, None, 3)})
    assert not fits({"image": (8, 8, 4)}, {"image": (None, None, 3)})
    assert not fits({"image": (8, 8)}, {"image": (None, None, 3)})
