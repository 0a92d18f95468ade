"""Which scheme suits a device, the data that there is, and what matters most.

The tree is that of LiteRT's guide to model optimization, read in November 2026
(https://developers.google.com/edge/litert/conversion/tensorflow/quantization/model_optimization): what the hardware can
compute comes first, then what the data allow, then the wish. `docs/quantization.md` draws it.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from slimline.core.config import Config
from slimline.core.schemes import Data, Priority, Scheme, Target
from slimline.errors import ConfigError

_INTEGER_ONLY = {
    "edgetpu": "an Edge TPU computes in 8-bit integers only",
    "hexagon": "a Hexagon DSP computes in 8-bit integers only",
    "micro": "microcontrollers have 8-bit kernels that are small and fast, and seldom a unit for floats",
    "ethos_u": "an Ethos-U computes in 8-bit and 16-bit integers only",
}


class Wishes(Config):
    """What a model is for.

    Attributes:
      target: Where it will run.
      priority: What matters most when not everything can be had.
    """

    target: Target
    priority: Priority = "size"


@dataclass(frozen=True)
class Advice:
    """A scheme, and why.

    Attributes:
      scheme: Which to take.
      training: `qat` when the model should be trained to be quantized.
      static_batch: Whether the target wants a fixed batch of 1.
      reasons: One sentence for each step to the decision.
      next_steps: What to try when the EdgeValidator refuses the result.
    """

    scheme: Scheme
    training: Literal["qat"] | None
    static_batch: bool
    reasons: tuple[str, ...]
    next_steps: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns the advice for JSON."""
        return asdict(self)


def advise(wishes: Wishes, data: Data) -> Advice:
    """Walks from the target over the data to a scheme.

    Args:
      wishes: Target and priority.
      data: `unlabelled` are records as the device will see them; `labelled` ones can be trained on too.

    Raises:
      ConfigError: The target needs records, and there are none.

    >>> advise(Wishes(target="edgetpu"), "unlabelled").scheme
    'int8'
    """
    if wishes.target in _INTEGER_ONLY:
        return _for_integer_hardware(wishes, data)
    return _for_gpu(wishes, data) if wishes.target == "gpu" else _for_cpu(wishes, data)


def _for_integer_hardware(wishes: Wishes, data: Data) -> Advice:
    reason = _INTEGER_ONLY[wishes.target]
    if data == "none":
        raise ConfigError(
            f"target={wishes.target!r} without any records",
            f"records to measure ranges on: {reason}",
            "sample some with a CalibrationSampler (a few hundred, without labels), or choose target='cpu'",
        )
    return _int8(wishes, data, [reason + "."], static_batch=True)


def _for_gpu(wishes: Wishes, data: Data) -> Advice:
    if wishes.priority == "size" and data != "none":
        reasons = ["A GPU runs 8-bit models where quantized inference is allowed, at a quarter of the bytes."]
        return _int8(wishes, data, reasons, static_batch=False)
    reasons = ["A GPU computes in 16-bit floats, so that nothing has to be converted, and the loss is insignificant."]
    if data == "none":
        reasons.append("float16 needs no records.")
    return _plain("float16", reasons, ("For fewer bytes: priority='size' with calibration records, which gives int8.",))


def _for_cpu(wishes: Wishes, data: Data) -> Advice:
    if wishes.priority == "accuracy":
        reasons = ["float16 loses next to nothing, and halves the bytes; a CPU computes in float32 from it."]
        return _plain("float16", reasons, ("float32, if even that is too much.",))
    if data == "none":
        reasons = ["Without records the ranges of activations can't be fixed: they are computed on the device."]
        return _plain(
            "dynamic_range",
            [*reasons, "Weights take a quarter of their bytes."],
            ("With calibration records: int8, which is faster on many CPUs.", "float16, for a smaller loss."),
        )
    if wishes.priority == "latency":
        return _int8(wishes, data, ["A CPU is fastest with integers throughout."], static_batch=False)
    reasons = [
        "dynamic_range is as small as int8, and loses less: activations get a range for every inference.",
        "It needs no records, those that there are only check the file.",
    ]
    return _plain("dynamic_range", reasons, ("Prune and cluster first: the download shrinks, at the same latency.",))


def _int8(wishes: Wishes, data: Data, reasons: list[str], *, static_batch: bool) -> Advice:
    reasons = [reason[0].upper() + reason[1:] for reason in reasons]
    if data == "labelled" and wishes.priority == "accuracy":
        reasons.append("Labelled examples allow quantization-aware training, which has the smallest loss.")
        more: tuple[str, ...] = ("More epochs in qat=QatConfig(...), or fewer layers pruned before.",)
        return Advice("int8", "qat", static_batch, tuple(reasons), more)
    reasons.append("Records allow int8 after the training, which is to be tried first.")
    steps = (
        "selective=SelectiveConfig(...) keeps the layers that suffer most in float"
        + (", which this hardware does not accelerate." if static_batch else "."),
        "training='qat' with labelled examples, for the smallest loss.",
        "Prune and cluster first when the download matters.",
    )
    return Advice("int8", None, static_batch, tuple(reasons), steps)


def _plain(scheme: Scheme, reasons: list[str], steps: tuple[str, ...]) -> Advice:
    return Advice(scheme, None, False, tuple(reasons), steps)
