import numpy as np
import pytest
import tf_keras

from slimline.core.models.weights import sparsity
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig, PruningRule
from slimline.errors import ConfigError
from tests import zoo
from tests.zoo import NUM_EXAMPLES

# So little training that the weights, zeros apart, stay what they are.
STILL = {"learning_rate": 1e-7}


def pruned(specimen, **options):
    config = PruningConfig(**{"epochs": 1, "batch_size": 16, **options})
    return prune(specimen.model, specimen.dataset(config.batch_size), NUM_EXAMPLES, config)


def kernel_of(model, layer):
    return model.get_layer(layer).get_weights()[0]


def num_zeros(result):
    return {count.layer: count.num_zeros for count in result.kernels}


@pytest.fixture(scope="module")
def cnn():
    return zoo.cnn()


@pytest.fixture(scope="module")
def before(cnn):
    """The weights, the configuration and the compilation of the model before anything is done to it."""
    return cnn.model.get_weights(), cnn.model.get_config(), cnn.model.optimizer.get_config()


@pytest.fixture(scope="module")
def pruned_cnn(cnn, before):
    return pruned(cnn, target_sparsity=0.5, seed=3)


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({}, 0.75),
        ({"ramp": 1.0, "initial_sparsity": 0.2}, 0.37),
        ({"ramp": 0.01}, 0.9),
        ({"schedule": "constant"}, 0.6),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize(("batch_size", "epochs"), [(48, 1), (20, 1), (2, 2)], ids=str)
def test_every_kernel_reaches_the_target_in_however_few_steps(options, target, batch_size, epochs):
    result = pruned(zoo.autoencoder(), target_sparsity=target, batch_size=batch_size, epochs=epochs, **options)
    assert num_zeros(result) == dict.fromkeys(("encode", "decode"), 256 - round(256 * (1 - target)))


def test_the_smallest_weights_become_zero():
    specimen = zoo.autoencoder()
    result = pruned(specimen, target_sparsity=0.5, **STILL)
    for layer in ("encode", "decode"):
        magnitudes, kept = np.abs(kernel_of(specimen.model, layer)), kernel_of(result.model, layer) != 0
        assert magnitudes[kept].min() >= magnitudes[~kept].max()


@pytest.mark.parametrize("schedule", ["polynomial", "constant"])
def test_to_prune_twice_is_to_prune_once(schedule):
    specimen = zoo.autoencoder()
    once = pruned(specimen, target_sparsity=0.7, schedule=schedule, **STILL)
    twice = pruned(zoo.Specimen(once.model, specimen.inputs, specimen.labels), target_sparsity=0.7, **STILL)
    for layer in ("encode", "decode"):
        assert np.array_equal(kernel_of(once.model, layer) == 0, kernel_of(twice.model, layer) == 0)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([("dense", (), 0.75)], {"conv_1": 108, "conv_2": 288, "dense": 1536, "scores": 32}),
        ([("*", ("Conv2D",), 0.25)], {"conv_1": 54, "conv_2": 144, "dense": 1024, "scores": 32}),
        ([("conv_?", ("Dense",), 0.9), ("s*", (), 0.0)], None),
        ([("conv_2", (), 0.0), ("conv_*", (), 0.75)], {"conv_1": 162, "conv_2": 0, "dense": 1024, "scores": 32}),
    ],
)
def test_the_first_rule_that_matches_a_layer_counts(cnn, rules, expected):
    written = [PruningRule(layers=layers, types=types, target_sparsity=target) for layers, types, target in rules]
    if expected is None:
        with pytest.raises(ConfigError, match=r"layers='conv_\?', types=\['Dense'\], which matches no layer"):
            pruned(cnn, rules=written)
        return
    result = pruned(cnn, target_sparsity=0.5, rules=written)
    assert num_zeros(result) == expected
    assert result.left == {layer: "a rule leaves it" for layer, zeros in expected.items() if zeros == 0}


def test_rules_that_leave_every_layer_are_refused(cnn):
    with pytest.raises(ConfigError, match=r"prunes none of conv_1 \(target 0\), conv_2 \(target 0\)"):
        pruned(cnn, rules=[PruningRule(target_sparsity=0)])


@pytest.fixture(scope="module")
def unequal():
    """A model with kernels that can't be pruned, and one of such small weights that it would be the first to go."""
    specimen = zoo.ds_cnn()
    layer = specimen.model.get_layer("conv_point_0")
    layer.set_weights([kernel / 1000 for kernel in layer.get_weights()])
    return specimen


def test_the_whole_model_reaches_the_target_and_no_layer_is_emptied(unequal):
    result = pruned(unequal, target_sparsity=0.6, scope="model")
    shares = {count.layer: count.num_zeros / count.num_weights for count in result.kernels}
    # Each kernel rounds to a whole number of zeros.
    assert sparsity(result.kernels) == pytest.approx(0.6, abs=len(shares) / sum(k.num_weights for k in result.kernels))
    assert num_zeros(result)["conv_point_0"] == 63
    assert (shares["depthwise_0"], shares["depthwise_1"]) == (0, 0)
    assert set(result.left) == {"depthwise_0", "depthwise_1"}
    assert all("depthwise kernels are few weights" in reason for reason in result.left.values())


def test_a_target_that_the_whole_model_can_not_reach_is_refused_with_the_limit(unequal):
    with pytest.raises(ConfigError) as refused:
        pruned(unequal, target_sparsity=0.8, scope="model")
    assert refused.value.found == "target_sparsity=0.8 of 520 weights, of which 376 can be pruned"
    assert refused.value.expected == f"under {376 / 520:.4f}"


@pytest.mark.parametrize(("pooling", "pool"), [(None, np.mean), ("average", np.mean), ("max", np.max)])
def test_zeros_come_in_blocks_and_the_weakest_blocks_go(pooling, pool):
    specimen = zoo.autoencoder()
    options = {"structure": "block", "block_size": (4, 2), "block_pooling": pooling, "target_sparsity": 0.75}
    result = pruned(specimen, **options, **STILL)
    for layer in ("encode", "decode"):
        rows, columns = kernel_of(specimen.model, layer).shape
        old, new = (kernel_of(m, layer).reshape(rows // 4, 4, columns // 2, 2) for m in (specimen.model, result.model))
        zeros = (new == 0).mean(axis=(1, 3))
        strength = pool(np.abs(old), axis=(1, 3))
        assert set(np.unique(zeros)) == {0, 1}
        assert zeros.mean() == 0.75
        assert strength[zeros == 0].min() >= strength[zeros == 1].max()


def test_blocks_may_stand_out_over_the_edge():
    specimen = zoo.autoencoder()
    result = pruned(specimen, structure="block", block_size=(3, 6), target_sparsity=0.5)
    for layer in ("encode", "decode"):
        zeros = kernel_of(result.model, layer) == 0
        rows, columns = zeros.shape
        blocks = [zeros[r : r + 3, c : c + 6] for r in range(0, rows, 3) for c in range(0, columns, 6)]
        assert all(block.all() or not block.any() for block in blocks)
        assert sum(block.all() for block in blocks) == len(blocks) // 2


def test_kernels_that_are_no_matrices_are_left_by_blocks_with_the_reason(cnn):
    result = pruned(cnn, structure="block", block_size=(2, 2), target_sparsity=0.5)
    assert num_zeros(result) == {"conv_1": 0, "conv_2": 0, "dense": 1024, "scores": 32}
    assert result.left["conv_1"] == "blocks are for matrices, and its kernel has the shape (3, 3, 3, 8)"
    assert set(result.left) == {"conv_1", "conv_2"}


@pytest.mark.parametrize(("m", "n"), [(2, 4), (1, 3)])
def test_m_of_n_weights_along_the_input_channels_are_zero_and_the_largest_stay(cnn, m, n):
    result = pruned(cnn, structure="m_by_n", m_by_n=(m, n), rules=[PruningRule(layers="scores", target_sparsity=0)])
    for layer in ("conv_1", "conv_2", "dense"):
        # The input channels last but one; the rest of a number that n does not divide is a group of its own.
        old, new = (np.moveaxis(kernel_of(model, layer), -2, -1) for model in (cnn.model, result.model))
        for start in range(0, new.shape[-1], n):
            group, weights = new[..., start : start + n], np.abs(old[..., start : start + n])
            kept = np.count_nonzero(group, axis=-1)
            assert (kept == min(n - m, group.shape[-1])).all()
            weakest_kept = np.where(group != 0, weights, np.inf).min(axis=-1)
            assert (weakest_kept > np.where(group == 0, weights, -1).max(axis=-1)).all()
    assert num_zeros(result)["scores"] == 0
    assert result.left == {"scores": "a rule leaves it"}


def test_kernels_of_three_dimensions_are_left_by_m_by_n_with_the_reason():
    result = pruned(zoo.conv1d(), structure="m_by_n", m_by_n=(2, 4))
    assert result.left == {"conv": "m_by_n is for kernels of 2 or 4 dimensions, and its kernel has the shape (3, 2, 8)"}
    assert num_zeros(result) == {"conv": 0, "scores": 16}


def test_both_kernels_of_a_recurrent_layer_are_pruned():
    kernels = pruned(zoo.lstm(), target_sparsity=0.5).kernels
    assert [(k.kernel.rsplit("/", 1)[-1], k.num_zeros) for k in kernels] == [
        ("kernel", 64),
        ("recurrent_kernel", 128),
        ("kernel", 16),
    ]


@pytest.mark.parametrize("scope", ["layer", "model"])
def test_of_a_separable_layer_the_pointwise_kernel_is_pruned(scope):
    result = pruned(zoo.separable(), target_sparsity=0.4, scope=scope)
    shares = {count.kernel: count.num_zeros / count.num_weights for count in result.kernels}
    assert [share for kernel, share in shares.items() if "depthwise" in kernel] == [0, 0]
    reached = sparsity([count for count in result.kernels if "depthwise" not in count.kernel])
    # The whole model has 219 weights, of which 99 are depthwise.
    assert reached == pytest.approx(0.4 if scope == "layer" else 0.4 * 219 / 120, abs=0.02)
    assert result.left == {}


def test_the_given_model_is_not_changed(cnn, before, pruned_cnn):
    weights, config, optimizer = before
    assert all(np.array_equal(old, new) for old, new in zip(weights, cnn.model.get_weights(), strict=True))
    assert cnn.model.get_config() == config
    assert cnn.model.optimizer.get_config() == optimizer
    assert cnn.model.optimizer.iterations == 0


def test_the_result_is_a_plain_compiled_model_of_the_same_layers(cnn, pruned_cnn):
    model = pruned_cnn.model
    assert [(layer.name, type(layer)) for layer in model.layers] == [(la.name, type(la)) for la in cnn.model.layers]
    assert (model.input_names, model.output_names) == (cnn.model.input_names, cnn.model.output_names)
    assert model.loss is tf_keras.losses.get(cnn.model.loss)
    assert type(model.optimizer) is type(cnn.model.optimizer)
    assert np.isfinite(model.evaluate(cnn.dataset(), verbose=0))


def test_training_goes_on_after_the_zeros_are_made(cnn, before, pruned_cnn):
    assert not any(np.array_equal(*pair) for pair in zip(before[0], pruned_cnn.model.get_weights(), strict=True))


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(cnn, pruned_cnn):
    again, other = (pruned(cnn, target_sparsity=0.5, seed=seed).model.get_weights() for seed in (3, 4))
    weights = pruned_cnn.model.get_weights()
    assert all(np.array_equal(*pair) for pair in zip(weights, again, strict=True))
    # Dropout draws others.
    assert not all(np.array_equal(*pair) for pair in zip(weights, other, strict=True))


@pytest.mark.parametrize(
    ("options", "target"),
    [({}, 0.5), ({"target_sparsity": 0.3}, 0.3), ({"structure": "m_by_n", "m_by_n": (1, 3)}, 1 / 3)],
)
def test_the_target_of_a_configuration(options, target):
    assert PruningConfig(**options).target == target
