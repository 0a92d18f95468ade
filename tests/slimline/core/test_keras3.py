import keras
import numpy as np
import pytest
import tf_keras

from slimline.core.keras3 import load_keras3, to_tf_keras
from slimline.errors import ModelError
from tests import zoo

L = keras.layers


class Custom(keras.layers.Layer):
    def call(self, values):
        return values * 2


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, values):
        return self.dense(values)


@pytest.mark.parametrize("name", [name for name in zoo.PORTABLE if not name.startswith("MobileNet")])
def test_the_translation_gives_the_same_and_is_compiled_alike(name):
    specimen = zoo.PORTABLE[name](keras)
    translated = to_tf_keras(specimen.model)
    inputs = {key: values[:8] for key, values in specimen.inputs.items()}
    wanted = specimen.model(inputs, training=False)
    given = translated(inputs, training=False)
    for one, other in zip(*(value if isinstance(value, list) else [value] for value in (wanted, given)), strict=True):
        np.testing.assert_allclose(np.asarray(other), np.asarray(one), atol=1e-4)
    assert translated.loss is not None
    assert float(translated.optimizer.learning_rate.numpy()) == pytest.approx(1e-3)


def test_a_file_is_loaded(tmp_path):
    specimen = zoo.nested(keras)
    specimen.model.save(tmp_path / "model.keras")
    loaded = load_keras3(tmp_path / "model.keras", {})
    assert isinstance(loaded, tf_keras.Model)
    assert loaded.output_names == ["head"]


def test_a_translated_model_drops_out_while_it_trains():
    given = L.Input((100,), name="given")
    translated = to_tf_keras(keras.Model(given, L.Dropout(0.5)(given)))
    ones = np.ones((1, 100), np.float32)
    assert np.count_nonzero(translated(ones, training=True)) < 100
    assert np.count_nonzero(translated(ones, training=False)) == 100


def test_everything_that_can_not_be_translated_is_named_at_once():
    given = L.Input((5, 4), name="given")
    hidden = L.MultiHeadAttention(2, 2, name="attend")(given, given)
    hidden = L.Dense(4, activation="hard_sigmoid", name="hard")(hidden)
    hidden = Custom(name="own")(keras.ops.sin(hidden))
    hidden = L.Lambda(lambda values: values, name="free")(hidden)
    with pytest.raises(ModelError) as refused:
        to_tf_keras(keras.Model(given, hidden))
    for part in ("attend (the layer MultiHeadAttention)", "hard (activation='hard_sigmoid')", "Sin", "own", "free"):
        assert part in refused.value.found


def test_a_part_inside_of_a_nested_model_is_named_too():
    inner = keras.Sequential([L.Input((4,)), L.Dense(4, activation="hard_silu", name="deep")], name="inner")
    given = L.Input((4,), name="given")
    with pytest.raises(ModelError, match=r"deep \(activation='hard_silu'\)"):
        to_tf_keras(keras.Model(given, inner(given)))


def test_a_subclassed_model_is_refused():
    model = Subclassed()
    model(np.ones((1, 3), np.float32))
    with pytest.raises(ModelError, match="subclassed or unbuilt"):
        to_tf_keras(model)


def test_an_option_that_tf_keras_lacks_is_refused_unless_it_is_at_its_default():
    given = L.Input((4, 4, 2), name="given")
    shown = L.UpSampling2D(2, interpolation="bicubic", name="up")(given)
    assert to_tf_keras(keras.Model(given, shown)).get_layer("up").interpolation == "bicubic"
