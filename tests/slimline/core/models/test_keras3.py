import keras
import numpy as np
import pytest
import tf_keras

from slimline.core.models.keras3 import load_keras3, to_tf_keras
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


KINDS = [
    pytest.param(build, id=name, marks=[pytest.mark.slow] if name.startswith("MobileNet") else [])
    for name, build in zoo.PORTABLE.items()
]


def stirred(model):
    """A model as after a training: no two weights are the same."""
    random = np.random.default_rng(0)
    model.set_weights([values + random.random(values.shape) / 10 for values in model.get_weights()])
    return model


def assert_same(model, translated, inputs):
    wanted, given = model(inputs, training=False), translated(inputs, training=False)
    for one, other in zip(*(value if isinstance(value, list) else [value] for value in (wanted, given)), strict=True):
        np.testing.assert_allclose(np.asarray(other), np.asarray(one), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build", KINDS)
def test_the_translation_gives_the_same_and_is_compiled_alike(build):
    specimen = build(keras)
    weights = stirred(specimen.model).get_weights()
    translated = to_tf_keras(specimen.model)
    assert_same(specimen.model, translated, {key: values[:8] for key, values in specimen.inputs.items()})
    assert translated.input_names == [tensor.name for tensor in specimen.model.inputs]
    assert not any(isinstance(layer, tf_keras.Model) for layer in translated.layers)
    assert translated.loss is not None
    assert type(translated.optimizer).__name__ == "Adam"
    assert float(translated.optimizer.learning_rate.numpy()) == pytest.approx(1e-3)
    for one, other in zip(weights, specimen.model.get_weights(), strict=True):
        np.testing.assert_array_equal(other, one)


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((6,), L.BatchNormalization(epsilon=0.1, scale=False)),
        ((6,), L.Dense(3, kernel_regularizer="l2", kernel_constraint="max_norm", activation="gelu")),
        ((6,), L.LeakyReLU(0.3)),
        ((6,), L.ReLU(2.0, negative_slope=0.1, threshold=0.2)),
        ((6,), L.Normalization(mean=np.arange(6.0), variance=np.arange(6.0) + 1, invert=True)),
        ((8, 3), L.Bidirectional(L.GRU(3, reset_after=False), merge_mode="sum")),
        ((8, 3), L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(3, go_backwards=True, activation="relu"))),
        ((8, 3), L.Conv1D(4, 3, padding="causal", dilation_rate=2)),
        ((8, 3), L.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")),
        ((8, 3), L.LSTM(3, return_sequences=True, go_backwards=True)),
        ((8, 3), L.LayerNormalization(axis=[1, 2])),
        ((8, 3), L.TimeDistributed(L.Dense(2, use_bias=False))),
        ((8, 8, 3), L.Conv2D(6, 3, groups=3, strides=2)),
        ((8, 8, 3), L.Conv2DTranspose(4, 3, strides=2, output_padding=1)),
        ((8, 8, 3), L.Cropping2D(((1, 2), (3, 0)))),
        ((8, 8, 3), L.DepthwiseConv2D(3, depth_multiplier=2)),
        ((8, 8, 3), L.Normalization(axis=1, mean=np.arange(8.0), variance=np.arange(8.0) + 1)),
        ((8, 8, 3), L.PReLU(shared_axes=[1, 2])),
        ((8, 8, 3), L.Rescaling([1.0, 2.0, 3.0], offset=[0.1, 0.2, 0.3])),
        ((8, 8, 3), L.SeparableConv2D(4, 3, depth_multiplier=2)),
        ((8, 8, 3), L.UpSampling2D((2, 3), interpolation="bilinear")),
    ],
    ids=lambda value: type(value).__name__.lower() if isinstance(value, L.Layer) else "",
)
def test_a_layer_keeps_its_options(shape, layer):
    given = L.Input(shape, name="given")
    model = stirred(keras.Model(given, layer(given)))
    inputs = np.random.default_rng(0).random((5, *shape)).astype(np.float32)
    translated = to_tf_keras(model)
    assert_same(model, translated, inputs)
    assert (translated.output_names, translated.layers[-1].trainable) == ([layer.name], layer.trainable)


def test_shared_layers_nested_models_states_masks_and_arithmetic_are_translated():
    tokens, weight = L.Input((5,), dtype="int32", name="tokens"), L.Input((4,), name="weight")
    masked = L.GRU(4, name="masked")(L.Embedding(6, 4, mask_zero=True, name="embed")(tokens))
    series, *memory = L.LSTM(4, return_sequences=True, return_state=True)(L.Embedding(6, 4, name="whole")(tokens))
    inner = keras.Sequential([L.Input((4,)), L.Dense(4, activation="relu", name="dense")], name="inner")
    twice = inner(inner(L.LSTM(4, name="write")(series, initial_state=memory)))
    model = stirred(keras.Model([tokens, weight], [2.0 / (1.0 + twice * weight) - masked, twice]))
    translated = to_tf_keras(model)
    assert translated.count_params() == model.count_params()
    random = np.random.default_rng(0)
    assert_same(model, translated, [random.integers(0, 6, (7, 5)), random.random((7, 4)).astype(np.float32)])


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_file_is_loaded(suffix, tmp_path):
    specimen = zoo.nested(keras)
    stirred(specimen.model).save(tmp_path / f"model.{suffix}")
    loaded = load_keras3(tmp_path / f"model.{suffix}", {})
    assert isinstance(loaded, tf_keras.Model)
    assert loaded.output_names == ["head"]
    assert_same(specimen.model, loaded, specimen.inputs["image"])


LOSSES = keras.losses


@pytest.mark.parametrize(
    ("optimizer", "loss", "kind", "options"),
    [
        ("sgd", "mse", "SGD", None),
        ("adamw", LOSSES.mean_absolute_error, "AdamW", None),
        ("rmsprop", LOSSES.SparseCategoricalCrossentropy(from_logits=True), "RMSprop", {"from_logits": True}),
        ("lion", LOSSES.CategoricalCrossentropy(label_smoothing=0.25), "Lion", {"label_smoothing": 0.25}),
        ("nadam", LOSSES.BinaryFocalCrossentropy(gamma=3.0), "Nadam", {"gamma": 3.0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_loss_and_optimizer_come_along_with_their_options(optimizer, loss, kind, options):
    given = L.Input((4,), name="given")
    model = keras.Model(given, L.Dense(2)(given))
    model.compile(optimizer, loss)
    model.optimizer.learning_rate = 0.03125
    translated = to_tf_keras(model)
    assert type(translated.optimizer).__name__ == kind
    assert float(translated.optimizer.learning_rate.numpy()) == 0.03125
    assert options is None or options.items() <= translated.loss.get_config().items()
    labels, scores = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32), np.array([[0.3, 0.7], [0.4, 0.6]], np.float32)
    if kind == "RMSprop":
        labels = np.array([1, 0])
    wanted, found = keras.losses.get(loss)(labels, scores), tf_keras.losses.get(translated.loss)(labels, scores)
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-5)


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
    for refused in (model, keras.Sequential([L.Dense(2)])):
        with pytest.raises(ModelError, match="subclassed or unbuilt"):
            to_tf_keras(refused)


def test_a_layer_of_the_users_own_in_a_file_is_refused_by_its_name(tmp_path):
    given = L.Input((4,), name="given")
    keras.Model(given, Custom(name="own")(given)).save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=r"own \(the layer Custom\)"):
        load_keras3(tmp_path / "model.keras", {"Custom": Custom})
    with pytest.raises(ModelError, match="could not be loaded"):
        load_keras3(tmp_path / "model.keras", {})


def test_an_option_that_tf_keras_lacks_is_refused_unless_it_is_at_its_default():
    given = L.Input((4, 4, 2), name="given")
    shown = L.UpSampling2D(2, interpolation="bicubic", name="up")(given)
    assert to_tf_keras(keras.Model(given, shown)).get_layer("up").interpolation == "bicubic"
    dense = L.Dense(3, lora_rank=2, name="low")
    with pytest.raises(ModelError, match=r"low \(the option lora_rank=2\)"):
        to_tf_keras(keras.Model(given, dense(given)))
