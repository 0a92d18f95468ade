"""Prunes or clusters a model: from the folder that it lies in to the folder that it goes to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import tf_keras
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.digest import file_digest, model_digest
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.models.loading import load_keras_model
from slimline.core.models.saving import save_keras_model
from slimline.core.optimization.clustering import cluster
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.core.optimization.stage_evaluation import compare_parts, evaluate_parts, harm
from slimline.core.optimization.techniques import OptimizedModel
from slimline.core.optimization.training import Watch
from slimline.core.optimization.training_config import TechniqueConfig
from slimline.core.optimization.training_data import evaluation_parts, read_training_data
from slimline.core.optimization.weight_history import (
    WeightSnapshot,
    load_history,
    lost_gains,
    require_kept,
    save_history,
)

_Optimize: TypeAlias = Callable[..., OptimizedModel]

# A new technique is a configuration and a function, and a line here.
_TECHNIQUES: Mapping[type[TechniqueConfig], _Optimize] = {PruningConfig: prune, ClusteringConfig: cluster}


@dataclass(frozen=True)
class OptimizationRequest:
    """What to optimize, how, and on which examples.

    Attributes:
      model: Folder or file, as a Trainer or an earlier technique wrote it.
      config: A `PruningConfig` or a `ClusteringConfig`, which also says which of the two is done.
      files: Of the split to fine-tune on.
      held_files: Of a split that is only measured on; empty when there is none.
      schema: Of the examples.
      data: Label and features of the examples.
      watch: Where the training tells how it goes.
    """

    model: Path
    config: TechniqueConfig
    files: Sequence[str]
    schema: schema_pb2.Schema
    data: ExamplesConfig
    held_files: Sequence[str] = ()
    watch: Watch = field(default_factory=Watch)


@dataclass(frozen=True)
class WrittenModel:
    """Digests of what was written, each as `sha256:<hex>`.

    Attributes:
      content_digest: That identifies the model.
      gains_digest: Of `gains.json`.
    """

    content_digest: str
    gains_digest: str


@dataclass(frozen=True)
class OptimizationResult:
    """An optimized model and what became of its weights.

    Attributes:
      optimized: The model.
      source_digest: Of the model that was given.
      history: Every snapshot of the weights, the original first, the present one last.
      lost: What an earlier technique had gained and this one lost, in words.
      harm: That the loss rose by more than its limit, in words; None when it did not.
    """

    optimized: OptimizedModel
    source_digest: str
    history: tuple[WeightSnapshot, ...]
    lost: tuple[str, ...]
    harm: str | None = None

    def write(self, folder: Path) -> WrittenModel:
        """Writes the model, and `gains.json` beside it."""
        save_keras_model(self.optimized.model, folder)
        gains = save_history(folder, self.history, self.lost)
        return WrittenModel(model_digest(folder), file_digest(gains))


def optimize_model(request: OptimizationRequest) -> OptimizationResult:
    """Loads a model, prunes or clusters it while fine-tuning, and looks for what that lost.

    Raises:
      ModelError: The model can't be loaded or optimized; a gain is lost, and `on_lost_gain` is `error`; or the
        loss rose over its limit, and `on_harm` is `error`.
      ExamplesError: A record is broken, or the examples do not fit the model.
      ConfigError: The configuration does not fit the model or the examples.
    """
    config = request.config
    model: tf_keras.Model = load_keras_model(request.model, config.custom_objects)
    source_digest = model_digest(request.model)
    history = load_history(request.model, model)
    training = read_training_data(request.files, request.schema, model, config, request.data)
    parts = evaluation_parts(training, request.held_files, request.schema, model, config, request.data)
    before = evaluate_parts(model, model, parts, config)
    technique = _TECHNIQUES[type(config)]
    optimized = technique(model, training.dataset, training.num_examples, config, watch=request.watch)
    evaluations = compare_parts(before, evaluate_parts(optimized.model, model, parts, config))
    harmed = harm(evaluations, config)
    snapshot = WeightSnapshot(str(optimized.technique), optimized.kernels, optimized.left, evaluations)
    lost = lost_gains(history[-1], snapshot)
    require_kept(lost, config.on_lost_gain)
    return OptimizationResult(optimized, source_digest, (*history, snapshot), lost, harmed)
