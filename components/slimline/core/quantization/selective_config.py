"""What a user can ask of selective quantization: how close the file must be, and in what the kept layers stay."""

from pydantic import Field, model_validator

from slimline.core.config import Config
from slimline.core.schemes import Keep


class SelectiveConfig(Config):
    """When to keep layers from int8, and how far to go. At least one of the two goals is needed.

    Attributes:
      min_agreement: Share of the calibration records on which the file must decide as the float model does, in (0, 1].
      min_sqnr_db: Signal-to-quantization-noise ratio that every output must keep, in dB.
      keep: Precision of the kept layers: `float32`, or `int16` activations with 8-bit weights, for integer hardware.
      max_conversions: Files that may be made and tried on the way.
    """

    min_agreement: float | None = Field(default=None, gt=0, le=1)
    min_sqnr_db: float | None = None
    keep: Keep = "float32"
    max_conversions: int = Field(default=16, ge=2)

    @model_validator(mode="after")
    def _check(self) -> "SelectiveConfig":
        if self.min_agreement is None and self.min_sqnr_db is None:
            raise ValueError("min_agreement=... or min_sqnr_db=..., which says how good is good enough")
        return self
