"""What each technique did to the weights, told from one to the next, so that a lost gain does not go unseen.

A later technique can undo an earlier one without an error: training moves zeros away from zero, and quantization splits
clusters (tensorflow/model-optimization#979, #1056). So the counts after each of them stand in a file beside the model.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tf_keras

from slimline.core.models.weights import KernelCount, count_kernels, count_layer, max_distinct, sparsity
from slimline.core.optimization.qat_config import Collaboration
from slimline.core.optimization.stage_evaluation import StageEvaluation
from slimline.core.schemes import OnLostGain
from slimline.core.tflite.flatbuffer import WeightTensor
from slimline.errors import ModelError
from slimline.names import file_names, schema_versions

ORIGINAL = "original"

# A kernel counts as pruned from this share of zeros on: trained weights are hardly ever exactly zero.
_MIN_SPARSITY = 0.1
# It counts as clustered when it has no more different values than this, and those that are not zero repeat: trained
# weights hardly ever do.
_MAX_CLUSTERS = 256
_MIN_REPEATS = 2
# Zeros may differ a little: a layer's last weights can cross zero when scales are rounded.
_KEPT_SHARE = 0.99


@dataclass(frozen=True)
class WeightSnapshot:
    """A model's kernels as a technique left them.

    Attributes:
      name: `original`, or what was done: `pruning`, `clustering`.
      kernels: Counts of every kernel.
      left: Why some layers were left as they are, by the layer's name.
      evaluations: Loss and metrics before and after, by part of the data; empty for the original.
    """

    name: str
    kernels: tuple[KernelCount, ...]
    left: Mapping[str, str] = field(default_factory=dict)
    evaluations: tuple[StageEvaluation, ...] = ()


@dataclass(frozen=True)
class TrainingSummary:
    """What quantization-aware training did to each layer.

    Attributes:
      collaborations: What was kept of which kernel, by layer name.
      left: Why some layers stay in float until calibration, by layer name.
      evaluations: Loss and metrics before and after, by part of the data.
      harm: That the loss rose by more than its limit, in words; None when it did not.
    """

    collaborations: Mapping[str, Collaboration]
    left: Mapping[str, str]
    evaluations: tuple[StageEvaluation, ...] = ()
    harm: str | None = None


def is_pruned(count: KernelCount) -> bool:
    """Returns whether a kernel has so many zeros that somebody must have pruned it."""
    return count.num_zeros >= _MIN_SPARSITY * count.num_weights


def is_clustered(count: KernelCount) -> bool:
    """Returns whether a kernel has so few different values that somebody must have clustered it."""
    num_values = count.num_distinct - (count.num_zeros > 0)
    num_weights = count.num_weights - count.num_zeros
    return count.num_distinct <= _MAX_CLUSTERS and num_values <= num_weights / _MIN_REPEATS


def collaboration_of(count: KernelCount) -> Collaboration:
    """Returns which quantization-aware training keeps what an earlier technique made of a kernel."""
    kinds: dict[tuple[bool, bool], Collaboration] = {
        (True, True): "pcqat",
        (True, False): "pqat",
        (False, True): "cqat",
        (False, False): "plain",
    }
    return kinds[is_pruned(count), is_clustered(count)]


def freeze_gains(layers: Iterable[tf_keras.layers.Layer]) -> tuple[str, ...]:
    """Excludes layers from training that an earlier technique pruned or clustered, and returns their names.

    For layers that the present one leaves alone: their weights would be trained without regard for what was gained.
    """
    frozen = [
        layer
        for layer in layers
        if layer.trainable and any(is_pruned(count) or is_clustered(count) for count in count_layer(layer))
    ]
    for layer in frozen:
        layer.trainable = False
    return tuple(layer.name for layer in frozen)


def load_history(folder: Path, model: tf_keras.Model) -> tuple[WeightSnapshot, ...]:
    """Returns what each technique left, as the file beside a model tells; a model without one is the original."""
    path = folder / file_names.GAINS
    if not path.is_file():
        return (WeightSnapshot(ORIGINAL, count_kernels(model)),)
    content = json.loads(path.read_text())
    return tuple(
        WeightSnapshot(
            stage["name"],
            tuple(KernelCount(**kernel) for kernel in stage["kernels"]),
            stage["left"],
            # Files of earlier releases have none.
            tuple(StageEvaluation(**evaluation) for evaluation in stage.get("evaluations", ())),
        )
        for stage in content["stages"]
    )


def save_history(
    folder: Path,
    history: Sequence[WeightSnapshot],
    lost: Sequence[str],
    *,
    tensors: Sequence[WeightTensor] | None = None,
    training: TrainingSummary | None = None,
) -> Path:
    """Writes `gains.json` and returns its path.

    Args:
      folder: The model's artifact.
      history: All snapshots, the original first.
      lost: What the last technique lost, in words.
      tensors: The kernels of the `.tflite` file, when there is one.
      training: What quantization-aware training did, when there was any.
    """
    path = folder / file_names.GAINS
    content: dict[str, Any] = {
        "schema_version": schema_versions.GAINS,
        "stages": [_describe(snapshot) for snapshot in history],
        "lost": list(lost),
    }
    if training is not None:
        content["training"] = {
            "collaborations": dict(training.collaborations),
            "left": dict(training.left),
            "evaluations": [asdict(evaluation) for evaluation in training.evaluations],
        }
    if tensors is not None:
        content["file"] = {**asdict(summarize_file(tensors)), "tensors": [asdict(tensor) for tensor in tensors]}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


@dataclass(frozen=True)
class FileSummary:
    """The kernels of a file, counted together.

    Attributes:
      sparsity: Share of zeros, from 0 to 1.
      max_distinct_per_channel: Different values in the channel of a kernel that has most.
    """

    sparsity: float
    max_distinct_per_channel: int


def summarize_file(tensors: Sequence[WeightTensor]) -> FileSummary:
    """Returns the share of zeros in all kernels of a file, and the most different values in a channel of one."""
    num_weights = sum(tensor.num_weights for tensor in tensors)
    return FileSummary(
        sum(tensor.num_zeros for tensor in tensors) / max(1, num_weights),
        max((tensor.max_distinct_per_channel for tensor in tensors), default=0),
    )


def lost_gains(before: WeightSnapshot, after: WeightSnapshot) -> tuple[str, ...]:
    """Returns in words what `before` had and `after` has no more, layer by layer."""
    new = _by_place(after)
    lost: list[str] = []
    for place, old in _by_place(before).items():
        kernel = new.get(place)
        if kernel is None:
            continue
        if is_pruned(old) and kernel.num_zeros < _KEPT_SHARE * old.num_zeros:
            lost.append(
                f"{old.kernel} had {_percent(old.num_zeros, old.num_weights)} zeros after {before.name}, "
                f"and has {_percent(kernel.num_zeros, kernel.num_weights)} after {after.name}"
            )
        if is_clustered(old) and kernel.num_distinct > old.num_distinct:
            lost.append(
                f"{old.kernel} had {old.num_distinct} different weights after {before.name}, "
                f"and has {kernel.num_distinct} after {after.name}"
            )
    return tuple(lost)


def lost_in_file(before: WeightSnapshot, tensors: Sequence[WeightTensor], scheme: str) -> tuple[str, ...]:
    """Returns in words what the Keras model had and its `.tflite` file has no more.

    Kernels are found in the file by the name of their layer and their size, or by a size that no other has. A recurrent
    layer is split into other tensors, so that it is not compared.
    """
    lost: list[str] = []
    for old in before.kernels:
        tensor = _find(old, before.kernels, tensors)
        if tensor is None:
            continue
        if is_pruned(old) and tensor.num_zeros < _KEPT_SHARE * old.num_zeros:
            lost.append(
                f"{old.kernel} had {_percent(old.num_zeros, old.num_weights)} zeros after {before.name}, "
                f"and has {_percent(tensor.num_zeros, tensor.num_weights)} in the {scheme} file"
            )
        # TFMOT keeps the clusters of convolutions channel by channel.
        per_channel = tensor.num_scales > 1 or tensor.op == "CONV_2D"
        num_distinct = tensor.max_distinct_per_channel if per_channel else tensor.num_distinct
        if is_clustered(old) and num_distinct > old.num_distinct:
            lost.append(
                f"{old.kernel} had {old.num_distinct} different weights after {before.name}, "
                f"and has {num_distinct} in {'one channel of ' if per_channel else ''}the {scheme} file"
            )
    return tuple(lost)


def require_kept(lost: Sequence[str], on_lost_gain: OnLostGain) -> None:
    """Fails when gains are lost and the configuration says so.

    Raises:
      ModelError: Something is lost, and `on_lost_gain` is `error`.
    """
    if lost and on_lost_gain == "error":
        raise ModelError(
            "; ".join(lost),
            "zeros and clusters that last",
            "prune first, then cluster with keep_zeros, then quantize with training='qat' or after the training; "
            "or let it pass with on_lost_gain='warn'",
        )


def _by_place(snapshot: WeightSnapshot) -> dict[tuple[str, int], KernelCount]:
    """Returns kernels by layer and position in it, since the two kernels of a layer may have one name."""
    places: dict[tuple[str, int], KernelCount] = {}
    for kernel in snapshot.kernels:
        places[kernel.layer, sum(layer == kernel.layer for layer, _ in places)] = kernel
    return places


def _find(kernel: KernelCount, kernels: Sequence[KernelCount], tensors: Sequence[WeightTensor]) -> WeightTensor | None:
    of_size = [tensor for tensor in tensors if tensor.num_weights == kernel.num_weights]
    named = [tensor for tensor in of_size if tensor.belongs_to(kernel.layer)]
    if len(named) == 1:
        return named[0]
    # TFMOT gives the parts of a separable layer names of its own: they still come in the order of the layers.
    nameless = [tensor for tensor in of_size if not any(tensor.belongs_to(other.layer) for other in kernels)]
    without = [
        other
        for other in kernels
        if other.num_weights == kernel.num_weights and sum(tensor.belongs_to(other.layer) for tensor in of_size) != 1
    ]
    places = [place for place, other in enumerate(without) if other is kernel]
    return nameless[places[0]] if places and len(nameless) == len(without) else None


def _describe(snapshot: WeightSnapshot) -> dict[str, Any]:
    summary: Mapping[str, Any] = {
        "sparsity": sparsity(snapshot.kernels),
        "sparsity_int8": _share_int8(snapshot.kernels),
        "max_distinct_weights": max_distinct(snapshot.kernels),
    }
    kernels = [asdict(kernel) for kernel in snapshot.kernels]
    evaluations = [asdict(evaluation) for evaluation in snapshot.evaluations]
    return {
        "name": snapshot.name,
        **summary,
        "left": dict(snapshot.left),
        "evaluations": evaluations,
        "kernels": kernels,
    }


def _share_int8(counts: Sequence[KernelCount]) -> float:
    num_weights = sum(count.num_weights for count in counts)
    return sum(count.num_zeros_int8 for count in counts) / num_weights if num_weights else 0.0


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%"
