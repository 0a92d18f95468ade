"""What a user can ask of quantization-aware training."""

from typing import Literal, TypeAlias

from slimline.core.optimization.training_config import FineTuningConfig

Collaboration: TypeAlias = Literal["plain", "pqat", "cqat", "pcqat"]


class QatConfig(FineTuningConfig):
    """How to train a model to be quantized.

    Attributes:
      collaboration: What the training keeps of earlier gains: `plain` nothing, `pqat` zeros, `cqat` clusters, `pcqat`
        both. `auto` decides kernel by kernel, from the weights; a name forces it for all.
      skip_layers: Patterns for names of layers that stay as they are, with `*` and `?` as in file names.
    """

    collaboration: Collaboration | Literal["auto"] = "auto"
    skip_layers: tuple[str, ...] = ()
