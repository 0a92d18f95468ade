"""What a stage did to the model's loss and metrics.

They are measured before and after it, on the data that it was trained on and on a part that it never saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import tensorflow as tf
import tf_keras

from slimline.core.optimization.training import compile_like
from slimline.core.optimization.training_batches import order_labels
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.errors import ModelError

Part: TypeAlias = Literal["training", "held"]
_LOSS = "loss"


@dataclass(frozen=True)
class StageEvaluation:
    """Loss and metrics on one part of the data.

    Attributes:
      part: `training` for the split that the stage trains on, `held` for one that it does not.
      before: Values by name, of the model that the stage was given.
      after: The same of the model that it gave.
    """

    part: Part
    before: Mapping[str, float]
    after: Mapping[str, float]

    @property
    def loss_increase(self) -> float:
        """By how much the loss rose; negative when it fell."""
        return self.after[_LOSS] - self.before[_LOSS]

    def describe(self) -> str:
        """Returns the values in words."""
        values = (f"{name} {self.before[name]:.4g} -> {self.after[name]:.4g}" for name in self.before)
        return f"on the {self.part} part: {', '.join(values)}"


def evaluate_parts(
    model: tf_keras.Model,
    original: tf_keras.Model,
    parts: Mapping[Part, tf.data.Dataset],
    config: FineTuningConfig,
) -> dict[Part, dict[str, float]]:
    """Measures a model by Keras' own `evaluate`, with the loss and the metrics that fine-tuning has.

    Args:
      model: Functional or Sequential, with its outputs in the original's order; it is not changed.
      original: The model that it was made from, which gives loss, metrics and the names of outputs.
      parts: Batches of (inputs, label).
      config: Loss and metrics, where they are not the original's.

    Raises:
      ConfigError: There is no loss.
    """
    # Compiling changes a model; another one around the same layers and weights is compiled in its place.
    view = tf_keras.Model(model.inputs, model.outputs)
    compile_like(view, original, config)
    measured: dict[Part, dict[str, float]] = {}
    for part, dataset in parts.items():
        values = view.evaluate(order_labels(dataset, original.output_names), verbose=0, return_dict=True)
        measured[part] = {
            _original_name(name, view.output_names, original.output_names): float(value)
            for name, value in values.items()
        }
    return measured


def compare_parts(
    before: Mapping[Part, Mapping[str, float]], after: Mapping[Part, Mapping[str, float]]
) -> tuple[StageEvaluation, ...]:
    """Pairs what was measured before and after a stage."""
    return tuple(StageEvaluation(part, values, after[part]) for part, values in before.items())


def harm(evaluations: Sequence[StageEvaluation], config: FineTuningConfig) -> str | None:
    """Returns in words that a stage raised the loss by more than its limit; None when it did not.

    The held part decides where there is one: training data may get better while the model gets worse.

    Raises:
      ModelError: It did, and `on_harm` is `error`.
    """
    if config.max_loss_increase is None:
        return None
    judged = next((each for each in evaluations if each.part == "held"), evaluations[0])
    if judged.loss_increase <= config.max_loss_increase:
        return None
    found = f"the loss rose by {judged.loss_increase:.4g} {judged.describe()}"
    if config.on_harm == "error":
        raise ModelError(
            found,
            f"a rise of at most max_loss_increase={config.max_loss_increase:g}",
            "train for more epochs or at another learning_rate, ask for less, or let it pass with on_harm='warn'",
        )
    return f"{found}, more than max_loss_increase={config.max_loss_increase:g}"


def _original_name(name: str, output_names: Sequence[str], original_names: Sequence[str]) -> str:
    """Gives the loss or metric of an output its name in the original: wrappers rename outputs."""
    if len(output_names) == 1:
        return name
    pairs = sorted(zip(output_names, original_names, strict=True), key=lambda pair: -len(pair[0]))
    return next((old + name.removeprefix(new) for new, old in pairs if name.startswith(f"{new}_")), name)
