import numpy as np
import pytest
import tf_keras

from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.clustering_config import ClusteringConfig, ClusteringRule
from slimline.errors import ConfigError, ModelError
from tests import zoo
from tests.zoo import NUM_EXAMPLES


def clustered(specimen, **options):
    config = ClusteringConfig(**{"epochs": 1, "batch_size": 16, **options})
    return cluster(specimen.model, specimen.dataset(config.batch_size), NUM_EXAMPLES, config)


def kernel_of(model, layer):
    return model.get_layer(layer).get_weights()[0]


def set_kernel(model, layer, kernel):
    model.get_layer(layer).set_weights([kernel, *model.get_layer(layer).get_weights()[1:]])


def num_distinct(result):
    return {count.kernel: count.num_distinct for count in result.kernels}


@pytest.fixture
def sparse():
    """A model of two kernels that are half zeros."""
    specimen = zoo.autoencoder()
    for layer in ("encode", "decode"):
        kernel = kernel_of(specimen.model, layer)
        set_kernel(specimen.model, layer, np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0, kernel))
    return specimen


@pytest.fixture(scope="module")
def cnn():
    return zoo.cnn()


@pytest.fixture(scope="module")
def before(cnn):
    """The weights, the configuration and the compilation of the model before anything is done to it."""
    return cnn.model.get_weights(), cnn.model.get_config(), cnn.model.optimizer.get_config()


@pytest.fixture(scope="module")
def clustered_cnn(cnn, before):
    return clustered(cnn, num_clusters=6, seed=3)


@pytest.mark.parametrize("keep_zeros", [True, False])
@pytest.mark.parametrize("initialization", ["kmeans++", "density", "linear", "random"])
def test_a_kernel_keeps_few_values_and_its_zeros_when_asked_to(sparse, initialization, keep_zeros):
    options = {"centroid_initialization": initialization, "keep_zeros": keep_zeros}
    result = clustered(sparse, num_clusters=7, learning_rate=1e-2, **options)
    assert max(num_distinct(result).values()) <= 7
    for layer in ("encode", "decode"):
        was_zero, is_zero = (kernel_of(model, layer) == 0 for model in (sparse.model, result.model))
        assert is_zero[was_zero].all() == keep_zeros


def test_the_kernel_of_zeros_and_one_sign_keeps_its_zeros(sparse):
    set_kernel(sparse.model, "encode", np.abs(kernel_of(sparse.model, "encode")))
    result = clustered(sparse, num_clusters=3, centroid_initialization="linear")
    assert (kernel_of(result.model, "encode")[kernel_of(sparse.model, "encode") == 0] == 0).all()
    assert max(num_distinct(result).values()) <= 3


def test_a_kernel_gets_no_more_clusters_than_it_has_weights(sparse):
    values = np.random.default_rng(0).choice(np.array([-0.5, 0, 0.25, 0.5], np.float32), (8, 32))
    set_kernel(sparse.model, "decode", values)
    result = clustered(sparse, num_clusters=16)
    assert num_distinct(result) == {"encode/kernel": 16, "decode/kernel": 4}
    assert np.array_equal(kernel_of(result.model, "decode") == 0, values == 0)


def test_a_kernel_of_too_few_weights_is_left_with_the_reason(sparse):
    values = np.random.default_rng(0).choice(np.array([-0.5, 0.5], np.float32), (8, 32))
    set_kernel(sparse.model, "decode", values)
    result = clustered(sparse, num_clusters=16)
    assert result.left == {"decode": "it has only 2 different weights, where at least 3 clusters are needed"}
    set_kernel(sparse.model, "encode", np.zeros((32, 8), np.float32))
    with pytest.raises(ModelError, match=r"encode: it has only 1 different weights.*decode: it has only 2"):
        clustered(sparse)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([("conv_*", (), 4), ("conv_1", (), 16), ("scores", (), None)], (4, 4, 8, 64)),
        ([("*", ("Dense",), 5)], (8, 8, 5, 5)),
    ],
)
def test_the_first_rule_that_matches_a_layer_counts(cnn, rules, expected):
    written = [ClusteringRule(layers=layers, types=types, num_clusters=number) for layers, types, number in rules]
    result = clustered(cnn, num_clusters=8, rules=written)
    assert tuple(num_distinct(result).values()) == expected
    assert result.left == ({"scores": "a rule leaves it"} if expected[-1] == 64 else {})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (ClusteringRule(layers="score", num_clusters=4), "Did you mean 'scores'"),
        (ClusteringRule(num_clusters=None), "rules that leave every layer as it is"),
    ],
)
def test_rules_without_effect_or_of_too_much_are_refused(cnn, rule, message):
    with pytest.raises(ConfigError, match=message):
        clustered(cnn, rules=[rule])


def test_frozen_and_depthwise_layers_stay_to_the_last_bit():
    specimen = zoo.ds_cnn()
    specimen.model.get_layer("conv_stem").trainable = False
    specimen.model.compile("adam", specimen.model.loss)
    result = clustered(specimen, num_clusters=4)
    assert set(result.left) == {"conv_stem", "depthwise_0", "depthwise_1"}
    assert result.left["conv_stem"] == "it is frozen"
    assert "depthwise kernels lose too much" in result.left["depthwise_0"]
    assert np.array_equal(kernel_of(result.model, "conv_stem"), kernel_of(specimen.model, "conv_stem"))
    assert not result.model.get_layer("conv_stem").trainable
    assert {name for name, number in num_distinct(result).items() if number <= 4} == {
        "conv_point_0/kernel",
        "conv_point_1/kernel",
        "scores/kernel",
    }


def test_both_kernels_of_a_recurrent_layer_are_clustered():
    assert list(num_distinct(clustered(zoo.lstm(), num_clusters=5)).values()) == [5, 5, 5]


def test_a_separable_layer_has_as_many_clusters_as_its_pointwise_kernel_can_hold():
    specimen = zoo.separable()
    specimen.model.get_layer("separable_1").depthwise_kernel.assign(np.ones((3, 3, 3, 1)))
    result = clustered(specimen, num_clusters=12)
    assert [count.num_distinct for count in result.kernels if "depthwise" not in count.kernel] == [12, 12, 12]
    assert result.left == {}


def test_the_given_model_is_not_changed(cnn, before, clustered_cnn):
    weights, config, optimizer = before
    assert all(np.array_equal(old, new) for old, new in zip(weights, cnn.model.get_weights(), strict=True))
    assert cnn.model.get_config() == config
    assert cnn.model.optimizer.get_config() == optimizer
    # TFMOT takes the kernels off the layers that it is given.
    assert len(cnn.model.trainable_weights) == len(clustered_cnn.model.trainable_weights)


def test_the_result_is_a_plain_compiled_model_of_the_same_layers(cnn, clustered_cnn):
    model = clustered_cnn.model
    assert [(layer.name, type(layer)) for layer in model.layers] == [(la.name, type(la)) for la in cnn.model.layers]
    assert (model.input_names, model.output_names) == (cnn.model.input_names, cnn.model.output_names)
    assert model.loss is tf_keras.losses.get(cnn.model.loss)
    assert type(model.optimizer) is type(cnn.model.optimizer)
    assert np.isfinite(model.evaluate(cnn.dataset(), verbose=0))


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(cnn, clustered_cnn):
    again, other = (clustered(cnn, num_clusters=6, seed=seed).model.get_weights() for seed in (3, 4))
    weights = clustered_cnn.model.get_weights()
    assert all(np.array_equal(*pair) for pair in zip(weights, again, strict=True))
    # The first centroid is drawn by lot, and so are the values that dropout leaves.
    assert not all(np.array_equal(*pair) for pair in zip(weights, other, strict=True))
