"""What to convert a model into."""

from typing import Literal

from pydantic import Field, model_validator

from slimline.core.config import Config
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.quantization.advisor import Advice, Wishes, advise
from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.schemes import CALIBRATED_SCHEMES, END_TYPES, BackendName, Data, EndType, OnLostGain, SchemeOrAuto


class QuantizationConfig(Config):
    """Into what to convert a model.

    Attributes:
      scheme: `float32` converts only; `float16` halves the weights; `dynamic_range` keeps weights in 8 bits and
        computes activations' ranges on the device; `int8` does everything in 8-bit integers, input and output
        included; `int16x8` has 16-bit activations and 8-bit weights, with float input and output; `auto` chooses by
        `wishes` and by the data that there is.
      wishes: For `auto`: the device, and what matters most.
      training: `qat` trains the model with int8's rounding errors before it is converted, on labelled Examples; without
        it the model is quantized as it is.
      qat: How to train; defaults when left out.
      backend: `converter` is TensorFlow's; `litert-quantizer` is Google's successor of its quantization.
      input_type: Of the file's inputs; the scheme's own when left out, which is int8 for int8 and float32 else.
      output_type: Of the file's outputs, likewise.
      static_batch: Fixes the batch to 1 in the file, as accelerators want it.
      input_shape: Sizes for inputs whose own are open, by input name and without the batch: `{"image": (224, 224, 3)}`.
      allow_select_ops: Lets operations that TFLite does not have be carried out by TensorFlow's kernels. Such a file
        runs where these are linked in, and on no accelerator; it can't be tried here, since no package for Python has
        them any more (google-ai-edge/LiteRT#6458).
      selective: Keeps the layers that int8 hurts most in a higher precision until a goal is met.
      time_limit_s: Seconds that the produced file may take to run on the records of its smoke run.
      label_names: Names of the classes in their order, for `io_spec.json`.
      custom_objects: Dotted path of a module with layers and functions of the user's own.
      on_lost_gain: What to do when zeros or clusters of the model are lost in the file: say so, or fail.
    """

    scheme: SchemeOrAuto
    wishes: Wishes | None = None
    training: Literal["qat"] | None = None
    qat: QatConfig | None = None
    backend: BackendName = "converter"
    input_type: EndType | None = None
    output_type: EndType | None = None
    static_batch: bool = False
    input_shape: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    allow_select_ops: bool = False
    selective: SelectiveConfig | None = None
    time_limit_s: float = Field(default=600, gt=0)
    label_names: tuple[str, ...] = ()
    custom_objects: str | None = None
    on_lost_gain: OnLostGain = "warn"

    @model_validator(mode="after")
    def _check(self) -> "QuantizationConfig":
        if (self.scheme == "auto") != (self.wishes is not None):
            raise ValueError("scheme='auto' with wishes=Wishes(...), or another scheme without wishes")
        if self.scheme == "auto" and self.training is not None:
            raise ValueError("no training with scheme='auto', which decides it")
        if self.training == "qat" and self.scheme != "int8":
            raise ValueError(f"scheme='int8' with training='qat', not {self.scheme!r}: TFMOT trains for int8 alone")
        if self.training is None and self.qat is not None and self.scheme != "auto":
            raise ValueError("training='qat' with qat=QatConfig(...), which is without effect otherwise")
        self._check_ends()
        self._check_backend()
        if self.allow_select_ops and self.scheme in (*CALIBRATED_SCHEMES, "auto"):
            raise ValueError(
                f"allow_select_ops with float32, float16 or dynamic_range, not {self.scheme!r}: calibration runs the "
                "model, and TensorFlow's packages for Python have no such kernels since 2.20"
            )
        if self.selective is not None and (self.scheme != "int8" or self.training is not None):
            raise ValueError("selective with scheme='int8' and without training: QAT has rules of its own")
        return self

    def _check_ends(self) -> None:
        for option, given in (("input_type", self.input_type), ("output_type", self.output_type)):
            if given is None:
                continue
            possible = ("int8", "uint8", "float32") if self.scheme == "auto" else END_TYPES[self.scheme]
            if given not in possible:
                raise ValueError(f"{option} of {' or '.join(possible)} for the scheme {self.scheme!r}")

    def _check_backend(self) -> None:
        if self.backend == "converter":
            if self.selective is not None and self.selective.keep == "int16":
                raise ValueError("selective.keep='int16' with backend='litert-quantizer': the converter can't mix them")
            return
        if self.training is not None:
            raise ValueError("training='qat' with backend='converter', which alone reads TFMOT's training")
        if "uint8" in (self.input_type, self.output_type):
            raise ValueError("uint8 with backend='converter': litert-quantizer has int8 and float32 ends only")
        if self.allow_select_ops:
            raise ValueError(
                "allow_select_ops with backend='converter': litert-quantizer does not know such operations"
            )

    @property
    def input_dtype(self) -> EndType:
        """Type of the file's inputs; the scheme must be decided."""
        assert self.scheme != "auto"
        return self.input_type or END_TYPES[self.scheme][0]

    @property
    def output_dtype(self) -> EndType:
        """Type of the file's outputs; the scheme must be decided."""
        assert self.scheme != "auto"
        return self.output_type or END_TYPES[self.scheme][0]


def resolve_scheme(
    config: QuantizationConfig, *, has_calibration: bool, has_examples: bool
) -> tuple[QuantizationConfig, Advice | None]:
    """Replaces `auto` by what the advisor says; any other configuration is returned as it is.

    Args:
      config: As it was given.
      has_calibration: Whether there are records to calibrate on.
      has_examples: Whether there are labelled examples to train on.

    Raises:
      ConfigError: Nothing fits the wishes and the data.
    """
    if config.wishes is None:
        return config, None
    # Whatever is quantized to integers needs records; examples alone do not calibrate.
    available: Data = "none"
    if has_calibration:
        available = "labelled" if has_examples else "unlabelled"
    advice = advise(config.wishes, available)
    decided = config.model_dump() | {
        "scheme": advice.scheme,
        "wishes": None,
        "training": advice.training,
        "qat": config.qat if advice.training else None,
        "static_batch": config.static_batch or advice.static_batch,
    }
    return QuantizationConfig(**decided), advice
