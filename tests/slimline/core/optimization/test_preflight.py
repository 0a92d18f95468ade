import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.inspection import inspect_model
from slimline.core.optimization.preflight import find_blockers, plan
from slimline.core.optimization.techniques import Technique
from slimline.errors import ModelError
from tests import zoo

L = tf_keras.layers


class WithoutConfig(tf_keras.layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, values):
        return self.function(values)


def left(model, technique):
    return dict(plan(model, technique).left)


@pytest.mark.parametrize(
    ("build", "technique", "layers", "reason"),
    [
        (zoo.ds_cnn, Technique.PRUNING, {"depthwise_0", "depthwise_1"}, "depthwise"),
        (zoo.ds_cnn, Technique.CLUSTERING, {"depthwise_0", "depthwise_1"}, "depthwise"),
        (zoo.ds_cnn, Technique.QAT, set(), ""),
        (zoo.preprocessing, Technique.QAT, {"rescale", "normalize"}, "trains no"),
        (zoo.preactivation, Technique.QAT, {"norm_0", "norm_1"}, "follow"),
        (zoo.lstm, Technique.QAT, {"lstm"}, "trains no LSTM"),
        (zoo.text, Technique.QAT, {"embedding"}, "trains no Embedding"),
        (zoo.conv1d, Technique.QAT, {"conv"}, "trains no Conv1D"),
        (zoo.lstm, Technique.PRUNING, set(), ""),
        (zoo.text, Technique.CLUSTERING, set(), ""),
    ],
)
def test_layers_that_stay_are_told_with_the_reason(build, technique, layers, reason):
    found = left(build().model, technique)
    assert set(found) == layers
    assert all(reason in text for text in found.values())


def test_everything_that_rules_a_model_out_is_told_at_once():
    given = L.Input((4,), name="given")
    hidden = L.Lambda(lambda values: values, name="free")(given)
    hidden = WithoutConfig(tf.nn.relu, name="own")(L.Dense(4, name="broken")(hidden))
    model = tf_keras.Model(given, hidden)
    model.get_layer("broken").set_weights([np.full((4, 4), np.nan), np.zeros(4)])
    for technique in Technique:
        with pytest.raises(ModelError) as refused:
            plan(model, technique)
        for part in ("free is a Lambda", "own is a WithoutConfig without get_config", "broken/kernel"):
            assert part in refused.value.found


def test_what_rules_a_model_out_is_found_in_nested_models_and_in_saved_functions_too():
    inner = tf_keras.Sequential([L.Input((4,)), L.Lambda(lambda values: values, name="free")], name="inner")
    given = L.Input((4,), name="given")
    for model, reason in (
        (tf_keras.Model(given, inner(given)), "free is a Lambda"),
        (zoo.subclassed().model, "called"),
    ):
        (blocker,) = find_blockers(model)
        assert reason in blocker


@pytest.mark.parametrize("technique", Technique)
def test_a_plan_names_layers_of_its_copy_and_leaves_the_model_alone(technique):
    model = zoo.ds_cnn().model
    before = model.get_weights()
    planned = plan(model, technique)
    names = {layer.name for layer in planned.model.layers}
    assert set(planned.covered) | {planned.prefix + name for name in planned.left} <= names
    assert not {name.removeprefix(planned.prefix) for name in planned.covered} & set(planned.left)
    assert planned.model is not model
    planned.model.set_weights([np.zeros_like(values) for values in before])
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(other, one)


def test_a_model_without_a_kernel_is_refused():
    given = L.Input((4,), name="given")
    with pytest.raises(ModelError, match="none has a kernel"):
        plan(tf_keras.Model(given, L.ReLU()(given)), Technique.PRUNING)


def normalized(feed_elsewhere, shared=False):
    given = L.Input((8, 8, 2), name="given")
    conv, norm = L.Conv2D(2, 3, padding="same", name="conv"), L.BatchNormalization(name="norm")
    hidden = conv(conv(given)) if shared else conv(given)
    out = norm(hidden)
    out = L.Add(name="sum")([out, hidden]) if feed_elsewhere else out
    return tf_keras.Model(given, L.ReLU(name="relu")(out))


def test_normalization_is_trained_only_where_it_can_be_folded():
    assert left(normalized(feed_elsewhere=False), Technique.QAT) == {}
    assert set(left(normalized(feed_elsewhere=True), Technique.QAT)) == {"norm"}
    assert set(left(normalized(feed_elsewhere=False, shared=True), Technique.QAT)) == {"conv", "norm"}


@pytest.mark.parametrize("activation", ["elu", "gelu"])
def test_an_activation_that_tfmot_does_not_know_stays(activation):
    given = L.Input((4,), name="given")
    model = tf_keras.Model(given, L.Dense(4, activation=activation, name="dense")(given))
    if activation == "gelu":
        assert left(model, Technique.QAT) == {}
    else:
        with pytest.raises(ModelError, match="no activation 'elu'"):
            plan(model, Technique.QAT)


def test_an_inspection_covers_all_techniques_and_names_no_prefix():
    preflight = inspect_model(zoo.preactivation().model)
    assert [finding.technique for finding in preflight.findings] == ["pruning", "clustering", "qat", "ptq"]
    assert [finding.verdict for finding in preflight.findings] == ["applies", "applies", "partly", "applies"]
    assert all(0 < finding.covered_share <= 1 for finding in preflight.findings)
    assert {layer.name for finding in preflight.findings for layer in finding.left} == {"norm_0", "norm_1"}
    assert "qat_" not in str(preflight.to_dict())


def test_an_inspection_refuses_without_raising():
    for build in (zoo.lambda_layer, zoo.subclassed):
        verdicts = {finding.technique: finding.verdict for finding in inspect_model(build().model).findings}
        assert verdicts == {"pruning": "refused", "clustering": "refused", "qat": "refused", "ptq": "applies"}
