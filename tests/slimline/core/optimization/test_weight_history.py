import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from slimline.core.models.weights import KernelCount, count_kernels
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.training import fine_tune
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.core.optimization.weight_history import (
    FileSummary,
    WeightSnapshot,
    collaboration_of,
    freeze_gains,
    load_history,
    lost_gains,
    lost_in_file,
    require_kept,
    save_history,
    summarize_file,
)
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import convert_quantization_aware, quantize
from slimline.core.tflite.flatbuffer import WeightTensor, weight_tensors
from slimline.errors import ModelError
from tests import zoo
from tests.zoo import NUM_EXAMPLES, Specimen

OPTIONS = {"batch_size": 16, "epochs": 2, "learning_rate": 1e-2}
COUNTS = st.integers(0, 2**40)
KERNELS = st.builds(KernelCount, st.text(), st.text(), COUNTS, COUNTS, COUNTS, COUNTS)
LEFT = st.dictionaries(st.text(), st.text(), max_size=2)
SNAPSHOTS = st.builds(WeightSnapshot, st.text(), st.lists(KERNELS, max_size=3).map(tuple), LEFT)


def count(num_zeros=0, num_distinct=1000, num_weights=1000, layer="dense", name="kernel"):
    return KernelCount(layer, f"{layer}/{name}", num_weights, num_zeros, num_distinct, num_zeros)


def tensor(num_zeros=0, distinct=200, num_weights=1000, layer="dense"):
    return WeightTensor(f"model/{layer}/MatMul", "", "CONV_2D", "int8", (), num_weights, num_zeros, distinct, distinct)


@pytest.mark.parametrize(
    ("num_zeros", "num_distinct", "expected"),
    [
        (0, 1000, "plain"),
        (99, 902, "plain"),
        (100, 901, "pqat"),
        (0, 256, "cqat"),
        (0, 257, "plain"),
        (500, 16, "pcqat"),
        (1000, 1, "pcqat"),
    ],
)
def test_what_was_made_of_a_kernel_shows_in_its_weights(num_zeros, num_distinct, expected):
    assert collaboration_of(count(num_zeros, num_distinct)) == expected


def test_no_kernel_of_more_than_256_values_counts_as_clustered():
    assert collaboration_of(count(0, 256, 10**6)) == "cqat"
    assert collaboration_of(count(0, 257, 10**6)) == "plain"


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        (count(500, 501), count(500, 501), ()),
        (count(500, 501), count(700, 301), ()),
        # One in a hundred may go.
        (count(500, 501), count(495, 506), ()),
        (count(500, 501), count(494, 507), ("dense/kernel had 50.0% zeros after old, and has 49.4% after new",)),
        (count(0, 16), count(0, 15), ()),
        (count(0, 16), count(0, 17), ("dense/kernel had 16 different weights after old, and has 17 after new",)),
        (count(0, 1000), count(0, 999), ()),
        (count(50, 951), count(0, 1000), ()),
        (count(500, 16), count(0, 1000), 2),
        (count(500, 16), count(0, 1000, layer="other"), ()),
    ],
)
def test_lost_gains_are_told_in_words(old, new, lost):
    told = lost_gains(WeightSnapshot("old", (old,)), WeightSnapshot("new", (new,)))
    assert (len(told) if isinstance(lost, int) else told) == lost


def test_kernels_of_one_layer_are_told_apart_by_their_place():
    old = WeightSnapshot("old", (count(500, 501, 1000), count(0, 1000, 1000)))
    turned = WeightSnapshot("new", old.kernels[::-1])
    assert lost_gains(old, old) == ()
    assert lost_gains(old, turned) == ("dense/kernel had 50.0% zeros after old, and has 0.0% after new",)


@pytest.mark.parametrize(
    ("tensors", "lost"),
    [
        ([tensor(500, 16)], ()),
        ([tensor(495, 3)], ()),
        ([tensor(494, 16)], ("dense/kernel had 50.0% zeros after old, and has 49.4% in the int8 file",)),
        (
            [tensor(500, 17)],
            ("dense/kernel had 16 different weights after old, and has 17 in one channel of the int8 file",),
        ),
        # Another of that size is not taken for it; the only one of that size is.
        ([tensor(500, 16), tensor(0, 200, layer="dense_1")], ()),
        ([tensor(0, 16, layer="renamed")], ("dense/kernel had 50.0% zeros after old, and has 0.0% in the int8 file",)),
        ([tensor(0, 16, layer="renamed"), tensor(0, 16, layer="renamed_1")], ()),
        ([tensor(0, 200, num_weights=999)], ()),
    ],
)
def test_what_is_lost_in_the_file_is_told_in_words(tensors, lost):
    assert lost_in_file(WeightSnapshot("old", (count(500, 16),)), tensors, "int8") == lost


def test_lost_gains_fail_only_when_they_are_to_fail():
    require_kept((), "error")
    require_kept(("a", "b"), "warn")
    with pytest.raises(ModelError, match="a; b") as refused:
        require_kept(("a", "b"), "error")
    assert "keep_zeros" in refused.value.remedy


@given(st.lists(SNAPSHOTS, min_size=1, max_size=3).map(tuple), st.lists(st.text(), max_size=2))
@settings(max_examples=30)
def test_the_stages_are_read_as_they_were_written(history, lost):
    with tempfile.TemporaryDirectory() as folder:
        path = save_history(Path(folder), history, lost)
        assert load_history(Path(folder), None) == history
        content = json.loads(path.read_text())
        assert (content["schema_version"], content["lost"], "file" in content) == (1, list(lost), False)


def test_a_model_without_a_file_beside_it_is_the_original(tmp_path):
    model = zoo.autoencoder().model
    assert load_history(tmp_path, model) == (WeightSnapshot("original", count_kernels(model)),)


def test_the_file_has_the_share_of_zeros_of_each_stage_and_of_the_tensors(tmp_path):
    kernels = (replace(count(600, 16), num_zeros_int8=700), count(0, 900, layer="other"))
    tensors = (tensor(500, 16), tensor(0, 200, num_weights=3000, layer="other"))
    content = json.loads(save_history(tmp_path, (WeightSnapshot("pruning", kernels),), (), tensors=tensors).read_text())
    (snapshot,) = content["stages"]
    assert (snapshot["sparsity"], snapshot["sparsity_int8"], snapshot["max_distinct_weights"]) == (0.3, 0.35, 900)
    summary = summarize_file(tensors)
    assert summary == FileSummary(sparsity=0.125, max_distinct_per_channel=200)
    assert {key: content["file"][key] for key in asdict(summary)} == asdict(summary)
    assert content["file"]["tensors"] == json.loads(json.dumps([asdict(one) for one in tensors]))


@pytest.fixture(scope="module")
def pruned():
    """An autoencoder that is pruned, with the data."""
    specimen = zoo.autoencoder()
    result = prune(specimen.model, specimen.dataset(), NUM_EXAMPLES, PruningConfig(target_sparsity=0.5, **OPTIONS))
    return Specimen(result.model, specimen.inputs, specimen.labels)


@pytest.fixture(scope="module")
def clustered(pruned):
    result = cluster(pruned.model, pruned.dataset(), NUM_EXAMPLES, ClusteringConfig(num_clusters=8, **OPTIONS))
    return Specimen(result.model, pruned.inputs, pruned.labels)


def snapshot_of(name, specimen):
    return WeightSnapshot(name, count_kernels(specimen.model))


def test_clustering_keeps_zeros_unless_it_is_told_not_to(pruned, clustered):
    before = snapshot_of("pruning", pruned)
    assert lost_gains(before, snapshot_of("clustering", clustered)) == ()
    config = ClusteringConfig(num_clusters=8, keep_zeros=False, **OPTIONS)
    careless = cluster(pruned.model, pruned.dataset(), NUM_EXAMPLES, config)
    told = lost_gains(before, WeightSnapshot("clustering", careless.kernels))
    assert [line.split(" zeros after")[0] for line in told] == ["encode/kernel had 50.0%", "decode/kernel had 50.0%"]


def test_pruning_after_clustering_loses_the_clusters_and_says_so(clustered):
    config = PruningConfig(target_sparsity=0.8, **OPTIONS)
    result = prune(clustered.model, clustered.dataset(), NUM_EXAMPLES, config)
    told = lost_gains(snapshot_of("clustering", clustered), WeightSnapshot("pruning", result.kernels))
    assert len(told) == 2
    for line, kernel in zip(told, result.kernels, strict=True):
        assert line == (
            f"{kernel.kernel} had 8 different weights after clustering, and has {kernel.num_distinct} after pruning"
        )


def test_layers_that_a_stage_leaves_alone_are_kept_from_training(pruned):
    frozen = tf_keras.models.clone_model(pruned.model)
    frozen.set_weights(pruned.model.get_weights())
    plain = zoo.autoencoder().model
    assert freeze_gains(frozen.layers) == ("encode", "decode")
    assert freeze_gains(frozen.layers) == ()
    assert freeze_gains(plain.layers) == ()
    assert all(layer.trainable for layer in plain.layers)
    fine_tune(frozen, pruned.model, pruned.dataset(), FineTuningConfig(**OPTIONS), steps=1)
    assert count_kernels(frozen) == count_kernels(pruned.model)


@pytest.mark.parametrize("scheme", ["float32", "float16", "dynamic_range", "int8"])
def test_conversion_keeps_zeros_and_clusters(clustered, scheme):
    records = (lambda: ({"signal": row[None]} for row in clustered.labels)) if scheme == "int8" else None
    tensors = weight_tensors(quantize(clustered.model, QuantizationConfig(scheme=scheme), records))
    snapshot = snapshot_of("clustering", clustered)
    assert [t.num_zeros >= k.num_zeros for t, k in zip(tensors, snapshot.kernels, strict=True)] == [True, True]
    assert lost_in_file(snapshot, tensors, scheme) == ()


@pytest.mark.parametrize(("collaboration", "losers"), [("auto", set()), ("plain", {"encode/kernel", "decode/kernel"})])
def test_quantization_aware_training_keeps_gains_unless_it_is_plain(clustered, collaboration, losers):
    config = QatConfig(collaboration=collaboration, **OPTIONS)
    trained = train_quantization_aware(clustered.model, clustered.dataset(), NUM_EXAMPLES, config)
    tensors = weight_tensors(convert_quantization_aware(trained))
    lost = lost_in_file(snapshot_of("clustering", clustered), tensors, "int8")
    assert {line.split(" had ")[0] for line in lost} == losers
