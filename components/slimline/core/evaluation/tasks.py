"""What kind of task a model is for: what its outputs decide, and how scores become probabilities.

It is found from the model alone, its loss before all, so that every worker finds the same, whatever its examples are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from slimline.errors import ConfigError, ExamplesError

if TYPE_CHECKING:
    # Configurations load no TensorFlow.
    from slimline.core.models.loading import TrainedModel

Kind: TypeAlias = Literal["binary", "multiclass", "multilabel", "per_position", "regression"]
# As users name them: with what the numbers are, where they are no probabilities.
TaskName: TypeAlias = Literal[
    "binary",
    "binary_logits",
    "multiclass",
    "multiclass_logits",
    "multilabel",
    "multilabel_logits",
    "per_position",
    "per_position_logits",
    "regression",
]
_LOGITS = "_logits"
_TOLERANCE = 1e-3
_OF_CLASSES = ("accuracy", "precision", "recall", "f1", "auc", "log_loss", "agreement")
# Defined where each example holds several decisions.
_OF_MANY = ("accuracy", "agreement")
_REGRESSION_LOSSES = ("mean_squared", "mean_absolute", "meansquared", "meanabsolute", "mse", "mae", "huber", "log_cosh")


@dataclass(frozen=True)
class Task:
    """A kind of task.

    Attributes:
      kind: What an output decides: one of two or more classes, several tags, a class for each position, or numbers.
      from_logits: Whether scores are logits, which sigmoid or softmax make probabilities of.
      source: What it was found from, in words.
    """

    kind: Kind = "multiclass"
    from_logits: bool = False
    source: str = ""

    @property
    def name(self) -> str:
        """As users name it."""
        return self.kind + (_LOGITS if self.from_logits else "")

    @property
    def has_many(self) -> bool:
        """Whether each example holds several decisions, so that it is right by a share."""
        return self.kind in ("multilabel", "per_position")

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Returns probabilities of the same shape."""
        if not self.from_logits:
            return scores
        if self.kind in ("binary", "multilabel") or scores.shape[-1] == 1:
            return np.asarray(0.5 * (1 + np.tanh(0.5 * scores.astype(np.float64))))
        powers = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

    def decisions(self, scores: np.ndarray) -> np.ndarray:
        """Returns the decisions of a task with many, of shape (batch, decisions)."""
        values = self.probabilities(scores)
        if self.kind == "multilabel" or values.shape[-1] == 1:
            return np.asarray((values >= 0.5).reshape(len(values), -1).astype(np.int64))
        return np.asarray(values.argmax(axis=-1).reshape(len(values), -1))

    def require_scores(self, baseline: np.ndarray) -> None:
        """Refuses numbers that are no probabilities where one of them is a decision.

        Raises:
          ExamplesError: They go beyond [0, 1].
        """
        if self.from_logits or (self.kind == "multiclass" and baseline.reshape(len(baseline), -1).shape[1] > 1):
            return
        if self.kind == "per_position" and baseline.shape[-1] > 1:
            return
        lowest, highest = float(baseline.min()), float(baseline.max())
        if lowest < -_TOLERANCE or highest > 1 + _TOLERANCE:
            raise ExamplesError(
                f"decisions of a model that gives numbers from {lowest:.4g} to {highest:.4g}",
                "probabilities for the task 'binary', 'multilabel' or 'per_position'",
                f"say task='{self.kind}_logits' (--task) if these are logits, or task='regression'",
            )


def find_task(baseline: "TrainedModel", output: str, given: str | None) -> Task:
    """Finds what kind of task an output is for.

    Args:
      baseline: The original.
      output: The name of the output that is judged.
      given: As the user says; None to find it from the loss, the last activation and the output's shape.
    """
    if given is not None:
        kind: Any = given.removesuffix(_LOGITS)
        return Task(kind, given.endswith(_LOGITS), "as was said")
    place = list(baseline.output_names).index(output)
    shape = tuple(baseline.outputs[place].shape[1:])
    has_positions = len(shape) > 1 and any(size != 1 for size in shape[:-1])
    loss, from_logits = _loss(baseline, output, place)
    if "binary" in loss and "crossentropy" in loss:
        many: Kind = "per_position" if has_positions else "multilabel"
        is_single = not has_positions and math.prod(size or 2 for size in shape) == 1
        return Task("binary" if is_single else many, from_logits, "by the loss")
    if "categorical" in loss and "crossentropy" in loss:
        return Task("per_position" if has_positions else "multiclass", from_logits, "by the loss")
    if any(word in loss for word in _REGRESSION_LOSSES):
        return Task("regression", source="by the loss")
    if has_positions:
        return Task("per_position", source="by the output's shape")
    if shape and shape[-1] != 1:
        is_sigmoid = _activation(baseline, output) == "sigmoid"
        return Task("multilabel", source="by the last activation") if is_sigmoid else Task(source="by the shape")
    return Task("binary", source="by the output's shape")


def require_defined(name: str, task: Task) -> None:
    """Refuses a metric that is not defined for a kind of task.

    Raises:
      ConfigError: It is not; the message names those that are.
    """
    of_classes = name in _OF_CLASSES or name.startswith("top_")
    if task.has_many and of_classes and name not in _OF_MANY:
        raise ConfigError(
            f"{name} of a {task.kind} task, in which an example holds several decisions ({task.source})",
            f"{', '.join(_OF_MANY)}, an error, or a metric of your own",
            "choose one of these, or say another task= (--task)",
        )
    is_said = task.source == "as was said"
    if task.kind == "regression" and (name == "agreement" or (of_classes and is_said)):
        raise ConfigError(
            f"{name} of a regression task, which decides nothing ({task.source})",
            "sqnr_db, mean_absolute_error, mean_squared_error or root_mean_squared_error",
            "choose one of these, or say another task= (--task)",
        )


def _loss(baseline: "TrainedModel", output: str, place: int) -> tuple[str, bool]:
    """Returns the name of an output's loss in small letters, and whether it takes logits; empty when unknown."""
    loss: Any = getattr(baseline, "loss", None)
    if isinstance(loss, Mapping):
        loss = loss.get(output)
    elif isinstance(loss, (list, tuple)):
        loss = loss[place] if place < len(loss) else None
    if isinstance(loss, str):
        return loss.lower(), False
    if loss is None:
        return "", False
    name = getattr(loss, "__name__", None) or type(loss).__name__
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    return str(name).lower(), bool(config.get("from_logits", False))


def _activation(baseline: "TrainedModel", output: str) -> str:
    layers = {layer.name: layer for layer in getattr(baseline, "layers", ())}
    layer = layers.get(output)
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))
