import json

import keras
import numpy as np
import pytest
import tf_keras

from slimline.core.inspection import PTQ, inspect_model
from slimline.core.models.loading import load_model
from slimline.core.optimization.techniques import Technique
from tests import zoo

L = tf_keras.layers
APPLIES, PARTLY, REFUSED = "applies", "partly", "refused"


def verdicts(preflight):
    return {finding.technique: finding.verdict for finding in preflight.findings}


def shares(preflight):
    return {finding.technique: finding.covered_share for finding in preflight.findings}


@pytest.mark.parametrize(
    ("build", "pruning", "qat"),
    [
        (zoo.cnn, APPLIES, APPLIES),
        (zoo.ds_cnn, PARTLY, APPLIES),
        (zoo.tabular, APPLIES, APPLIES),
        (zoo.lstm, APPLIES, PARTLY),
        (zoo.nested, APPLIES, APPLIES),
        (zoo.mixed_float16, APPLIES, APPLIES),
        (zoo.preprocessing, APPLIES, PARTLY),
    ],
)
def test_every_technique_is_judged_and_nothing_is_covered_twice(build, pruning, qat):
    model = build().model
    weights = model.get_weights()
    preflight = inspect_model(model)
    assert verdicts(preflight) == {"pruning": pruning, "clustering": pruning, "qat": qat, "ptq": APPLIES}
    assert all(0 < share <= 1 for share in shares(preflight).values())
    assert preflight.num_parameters == model.count_params()
    for finding in preflight.findings:
        assert (finding.verdict == PARTLY) == bool(finding.left)
        assert not finding.blockers
        assert all(layer.reason and layer.num_parameters >= 0 for layer in finding.left)
        assert not any(layer.name.startswith("qat_") for layer in finding.left)
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(other, one)


def test_the_share_is_that_of_the_parameters_that_a_technique_acts_on():
    given = L.Input((8, 8, 2), name="given")
    hidden = L.SeparableConv2D(4, 3, name="separable")(given)
    hidden = L.DepthwiseConv2D(3, use_bias=False, name="depthwise")(hidden)
    model = tf_keras.Model(given, L.Dense(5, name="dense")(L.PReLU(name="slope")(L.Flatten()(hidden))))
    separable, depthwise, slope, dense = 18 + 8 + 4, 36, 64, 64 * 5 + 5
    total = separable + depthwise + slope + dense
    found = shares(inspect_model(model))
    assert found["pruning"] == found["clustering"] == pytest.approx((8 + 320) / total)
    assert found["qat"] == pytest.approx((separable + depthwise + dense) / total)
    assert found["ptq"] == 1


def test_a_layer_that_is_called_twice_counts_once():
    given, shared = L.Input((4,), name="given"), L.Dense(4, name="shared")
    preflight = inspect_model(tf_keras.Model(given, L.Dense(2, name="last")(shared(shared(given)))))
    assert shares(preflight) == pytest.approx({"pruning": 24 / 30, "clustering": 24 / 30, "qat": 10 / 30, "ptq": 1})
    (left,) = preflight.findings[2].left
    assert (left.name, left.type, left.num_parameters) == ("shared", "Dense", 20)


def test_what_is_left_is_told_in_the_models_own_names_even_when_they_have_the_prefix():
    given = L.Input((6, 2), name="given")
    layers = [L.LSTM(3, name="qat_reader"), L.Dense(2, name="scores")]
    (left,) = inspect_model(tf_keras.Model(given, layers[1](layers[0](given)))).findings[2].left
    assert left.name == "qat_reader"


def test_what_is_refused_covers_nothing_and_has_the_same_blockers_for_all_techniques():
    model = zoo.lambda_layer().model
    scores = model.get_layer("scores")
    scores.set_weights([np.full_like(values, np.inf) for values in scores.get_weights()])
    findings = {finding.technique: finding for finding in inspect_model(model).findings}
    for technique in Technique:
        finding = findings[technique]
        assert (finding.verdict, finding.covered_share, finding.left) == (REFUSED, 0.0, ())
        assert [blocker.split()[0] for blocker in finding.blockers] == ["double", "NaN"]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_model_with_nothing_to_prune_is_refused_for_that(activation):
    given = L.Input((4,), name="given")
    preflight = inspect_model(tf_keras.Model(given, L.Activation(activation)(given)))
    assert preflight.findings[0].blockers == ("no layer for pruning, since none has a kernel",)
    assert verdicts(preflight)["qat"] == APPLIES


def test_an_operation_that_tflite_lacks_refuses_the_conversion_alone():
    word = L.Input((1,), dtype="string", name="word")
    hidden = L.Embedding(8, 4)(L.Hashing(8)(word))
    found = inspect_model(tf_keras.Model(word, L.Dense(2)(L.Flatten()(hidden)))).findings
    assert [finding.verdict for finding in found] == [APPLIES, APPLIES, PARTLY, REFUSED]
    assert "StringToHashBucket" in found[3].blockers[0]


def test_an_exported_graph_can_be_converted_only_and_says_the_way_out(tmp_path):
    zoo.autoencoder(keras).model.export(tmp_path)
    preflight = inspect_model(load_model(tmp_path))
    assert (preflight.kind, preflight.num_parameters) == ("graph", 0)
    assert verdicts(preflight) == {**dict.fromkeys(map(str, Technique), REFUSED), PTQ: APPLIES}
    assert all("model.keras" in finding.blockers[0] for finding in preflight.findings[:3])


def test_it_can_be_written_as_json():
    preflight = inspect_model(zoo.sequential().model)
    content = json.loads(json.dumps(preflight.to_dict()))
    assert content["kind"] == "Sequential"
    assert set(content["findings"][0]) == {"technique", "verdict", "covered_share", "left", "blockers"}
