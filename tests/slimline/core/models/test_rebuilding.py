import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.models.rebuilding import is_half_precision, random_inputs, rebuild, require_same_outputs
from slimline.errors import ModelError
from tests import zoo

KINDS = [
    pytest.param(build, id=name, marks=[pytest.mark.slow] if name.startswith("MobileNet") else [])
    for name, build in {**zoo.PORTABLE, **zoo.TF_KERAS_ONLY}.items()
]
L = tf_keras.layers


def predict(model, specimen):
    outputs = model({name: values[:8] for name, values in specimen.inputs.items()}, training=False)
    return [np.asarray(output, np.float32) for output in (outputs if isinstance(outputs, list) else [outputs])]


def stirred(model):
    """A model as after a training: no two weights are the same."""
    random = np.random.default_rng(0)
    model.set_weights([values + random.random(values.shape) / 10 for values in model.get_weights()])
    return model


def state(model):
    """All that another model could change in one: its weights, and what each layer is connected with."""
    nodes = [(layer.name, len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers]
    return [weight.name for weight in model.weights], nodes, str(model.get_config())


@pytest.mark.parametrize("build", KINDS)
def test_the_copy_gives_the_same_under_the_same_names_and_the_model_stays_as_it_is(build):
    specimen = build()
    model = stirred(specimen.model)
    before, weights, wanted = state(model), model.get_weights(), predict(model, specimen)
    copy = rebuild(model)
    assert (copy.input_names, copy.output_names) == (model.input_names, model.output_names)
    assert not any(isinstance(layer, tf_keras.Model) for layer in copy.layers)
    atol = 5e-3 if is_half_precision(model) else 1e-5
    for one, other in zip(wanted, predict(copy, specimen), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=atol)
    assert state(model) == before
    copy.set_weights([np.zeros_like(values) for values in copy.get_weights()])
    for one, other in zip([*weights, *wanted], [*model.get_weights(), *predict(model, specimen)], strict=True):
        np.testing.assert_array_equal(other, one)


def test_half_precision_becomes_single():
    model = zoo.mixed_float16().model
    assert is_half_precision(model)
    copy = rebuild(model)
    assert not is_half_precision(copy)
    assert all(weight.dtype == "float32" for weight in copy.weights)


def test_a_prefix_stands_before_all_names_but_the_inputs():
    copy = rebuild(zoo.nested().model, prefix="new_")
    assert copy.input_names == ["image"]
    assert copy.output_names == ["new_head"]
    assert all(layer.name.startswith("new_") for layer in copy.layers if not isinstance(layer, L.InputLayer))


def test_a_layer_that_is_called_twice_is_copied_once():
    left, right = L.Input((4,), name="left"), L.Input((4,), name="right")
    shared = L.Dense(3, name="shared")
    model = tf_keras.Model([left, right], L.Add(name="sum")([shared(left), shared(right)]))
    copy = rebuild(model)
    assert len(copy.get_layer("shared")._inbound_nodes) == 2
    assert copy.count_params() == model.count_params()


def test_a_nested_model_that_is_called_twice_and_operators_are_copied():
    inner = tf_keras.Sequential([L.Input((4,)), L.Dense(4, name="dense")], name="inner")
    given = L.Input((4,), name="given")
    model = tf_keras.Model(given, inner(inner(given * 2.0) + given)[:, :2])
    copy = rebuild(model)
    assert copy.count_params() == model.count_params()
    probe = np.random.default_rng(0).random((5, 4)).astype(np.float32)
    np.testing.assert_allclose(copy(probe), model(probe), atol=1e-6)


def test_adapted_statistics_and_wrapped_layers_come_along():
    normalization = L.Normalization(name="normalize")
    normalization.adapt(np.random.default_rng(0).normal(3.0, 2.0, (100, 4)).astype(np.float32))
    series = L.Input((6, 4), name="series")
    hidden = L.Bidirectional(L.LSTM(3, return_sequences=True), name="both")(normalization(series))
    model = tf_keras.Model(series, L.TimeDistributed(L.Dense(2), name="each")(hidden))
    probe = np.random.default_rng(1).random((5, 6, 4)).astype(np.float32)
    np.testing.assert_allclose(rebuild(model)(probe), model(probe), atol=1e-5)


def test_states_that_go_from_layer_to_layer_are_copied():
    series = L.Input((6, 4), name="series")
    hidden, *memory = L.LSTM(3, return_sequences=True, return_state=True, name="reader")(series)
    model = stirred(tf_keras.Model(series, [L.LSTM(3, name="writer")(hidden, initial_state=memory), memory[0]]))
    copy = rebuild(model)
    assert copy.output_names == ["writer", "reader"]
    probe = np.random.default_rng(0).random((5, 6, 4)).astype(np.float32)
    for one, other in zip(model(probe), copy(probe), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)


def test_masks_and_operators_with_several_tensors_are_copied():
    tokens = L.Input((5,), dtype="int32", name="tokens")
    hidden = L.GRU(3)(L.Embedding(4, 2, mask_zero=True)(tokens))
    hidden = tf.reshape(tf.concat([hidden, tf.ones_like(hidden)], axis=-1), [tf.shape(hidden)[0], 6])
    model = stirred(tf_keras.Model(tokens, hidden))
    masked = np.array([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0]])
    np.testing.assert_allclose(rebuild(model)(masked), model(masked), atol=1e-6)


def test_words_and_boundaries_that_layers_learned_come_along():
    given = L.Input((1,), dtype="string", name="word"), L.Input((1,), name="height")
    known, buckets = L.StringLookup(name="known"), L.Discretization(num_bins=4, name="buckets")
    known.adapt(["oak", "elm"])
    buckets.adapt(np.arange(100, dtype=np.float32))
    model = tf_keras.Model(given, L.Add()([L.Embedding(4, 2)(known(given[0])), L.Embedding(5, 2)(buckets(given[1]))]))
    probe = [tf.constant([["oak"], ["elm"], ["fir"]]), tf.constant([[10.0], [55.0], [90.0]])]
    np.testing.assert_array_equal(rebuild(model)(probe), model(probe))


def test_what_is_frozen_stays_frozen_and_what_drops_out_still_does():
    given = L.Input((100,), name="given")
    hidden = L.Dropout(0.5, name="drop")(L.Dense(100, trainable=False, name="frozen")(given))
    copy = rebuild(tf_keras.Model(given, hidden), prefix="new_")
    assert not copy.get_layer("new_frozen").trainable
    ones = np.ones((1, 100), np.float32)
    assert np.count_nonzero(copy(ones, training=True)) < 100
    assert np.count_nonzero(copy(ones, training=False)) == 100


def test_nodes_outside_of_the_model_are_left_out():
    given, shared = L.Input((4,), name="given"), L.Dense(4, name="shared")
    hidden = shared(given)
    model, other = tf_keras.Model(given, L.ReLU(name="out")(hidden)), tf_keras.Model(given, shared(hidden))
    copy = rebuild(model)
    assert [layer.name for layer in copy.layers] == ["given", "shared", "out"]
    assert len(copy.get_layer("shared")._inbound_nodes) == 1
    assert len(rebuild(other).get_layer("shared")._inbound_nodes) == 2


def test_random_inputs_fit_and_are_the_same_every_time():
    shapes = [L.Input((None, 3), name="series"), L.Input((2,), batch_size=7, dtype="int32", name="numbers")]
    first, again = random_inputs(shapes), random_inputs(shapes)
    assert first is not None
    assert again is not None
    series, numbers = first
    assert (series.shape, numbers.shape) == ((4, 8, 3), (7, 2))
    assert (series.dtype.name, numbers.dtype.name) == ("float32", "int32")
    assert set(numbers.ravel()) <= {0, 1}
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert random_inputs([L.Input((1,), dtype="string")]) is None


def test_other_outputs_are_refused_with_the_difference():
    one, other = zoo.conv1d().model, zoo.conv1d().model
    with pytest.raises(ModelError, match=r"output 0 of the rebuilt model .* differs by"):
        require_same_outputs(one, other, tolerance=1e-4)
