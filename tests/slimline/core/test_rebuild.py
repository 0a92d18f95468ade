import numpy as np
import pytest
import tf_keras

from slimline.core.rebuild import is_half_precision, rebuild, require_same_outputs
from slimline.errors import ModelError
from tests import zoo

SMALL = {name: build for name, build in zoo.PORTABLE.items() if not name.startswith("MobileNet")}
L = tf_keras.layers


def predict(model, specimen):
    outputs = model({name: values[:8] for name, values in specimen.inputs.items()}, training=False)
    return [np.asarray(output, np.float32) for output in (outputs if isinstance(outputs, list) else [outputs])]


@pytest.mark.parametrize("name", SMALL)
def test_the_copy_gives_the_same_under_the_same_names(name):
    specimen = SMALL[name]()
    copy = rebuild(specimen.model)
    assert (copy.input_names, copy.output_names) == (specimen.model.input_names, specimen.model.output_names)
    assert not any(isinstance(layer, tf_keras.Model) for layer in copy.layers)
    for wanted, given in zip(predict(specimen.model, specimen), predict(copy, specimen), strict=True):
        np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_the_copy_has_weights_of_its_own():
    specimen = zoo.cnn()
    before = predict(specimen.model, specimen)
    copy = rebuild(specimen.model)
    copy.set_weights([np.zeros_like(values) for values in copy.get_weights()])
    np.testing.assert_array_equal(predict(specimen.model, specimen)[0], before[0])


def test_half_precision_becomes_single():
    model = zoo.mixed_float16().model
    assert is_half_precision(model)
    copy = rebuild(model)
    assert not is_half_precision(copy)
    assert all(weight.dtype == "float32" for weight in copy.weights)


def test_a_prefix_stands_before_all_names_but_the_inputs():
    copy = rebuild(zoo.nested().model, prefix="new_")
    assert copy.input_names == ["image"]
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


def test_other_outputs_are_refused_with_the_difference():
    one, other = zoo.conv1d().model, zoo.conv1d().model
    with pytest.raises(ModelError, match=r"output 0 of the rebuilt model .* differs by"):
        require_same_outputs(one, other, tolerance=1e-4)
