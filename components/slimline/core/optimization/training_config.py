"""What a user can ask of every training that pruning, clustering and quantization need."""

from typing import Literal

from pydantic import Field, model_validator

from slimline.core.config import Config
from slimline.core.schemes import OnLostGain


class FineTuningConfig(Config):
    """What pruning, clustering and quantization-aware training share.

    Attributes:
      split: Name of the Examples split to train on.
      epochs: Passes over the split.
      batch_size: Examples per step, no more than there are.
      learning_rate: Of the optimizer. A tenth of the original training's rate is usual.
      rate_schedule: `constant`, or `cosine`: from `learning_rate` down to 0 in half a wave over all steps
        (Loshchilov and Hutter, "SGDR", 2017).
      optimizer: Name of a Keras optimizer; when left out the kind that the model was compiled with, or Adam.
      loss: Name of a Keras loss, or one per output name; the loss that the model was compiled with when left out.
      metrics: Names of Keras metrics to watch; those that the model was compiled with when left out.
      evaluation_split: Name of a split that is not trained on; loss and metrics are measured on it before and after.
        When left out, `eval` where the Examples have such a split.
      max_loss_increase: By how much the loss may rise, in its own unit; on that split, or on the training data where
        there is no other. Without it any rise passes; all the same it is told and recorded.
      on_harm: What to do when the loss rose by more: say so, or fail.
      seed: Of shuffling and of random initial values. The same seed gives the same weights on the same machine.
      class_weights: How much an example counts in the loss by its class's number; a class that is left out counts once.
      augment_fn: Dotted path of a function `augment(inputs, label)` that changes batches of the training alone, as with
        Keras' preprocessing layers; it gives the same structure and shapes.
      distillation_weight: Share of the loss that is the distance from the original's outputs, from 0 (none) to 1.
      distillation_temperature: Softens probabilities before they are compared.
      train_fn: Dotted path of a function `train(model, dataset, epochs, callbacks)` that replaces `model.fit`. It must
        hand on the callbacks: pruning happens in them.
    """

    split: str = Field(default="train", min_length=1)
    epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    rate_schedule: Literal["constant", "cosine"] = "constant"
    optimizer: str | None = None
    loss: str | dict[str, str] | None = None
    metrics: tuple[str, ...] = ()
    evaluation_split: str | None = Field(default=None, min_length=1)
    max_loss_increase: float | None = Field(default=None, ge=0)
    on_harm: Literal["warn", "error"] = "warn"
    seed: int = Field(default=0, ge=0, lt=2**32)
    class_weights: dict[int, float] = Field(default_factory=dict)
    augment_fn: str | None = None
    distillation_weight: float = Field(default=0, ge=0, le=1)
    distillation_temperature: float = Field(default=2, gt=0)
    train_fn: str | None = None

    @model_validator(mode="after")
    def _check_evaluation(self) -> "FineTuningConfig":
        if any(weight < 0 for weight in self.class_weights.values()):
            raise ValueError("class_weights of at least 0")
        if self.evaluation_split == self.split:
            raise ValueError("an evaluation_split that is not the split which is trained on")
        if self.on_harm == "error" and self.max_loss_increase is None:
            raise ValueError("max_loss_increase with on_harm='error', which is without effect otherwise")
        return self


class TechniqueConfig(FineTuningConfig):
    """What the configurations of pruning and clustering share.

    Attributes:
      custom_objects: Dotted path of a module with layers and functions of the user's own.
      on_lost_gain: What to do when zeros or clusters that an earlier technique made are lost: say so, or fail.
    """

    custom_objects: str | None = None
    on_lost_gain: OnLostGain = "warn"
