"""The content of `quantization_report.json`, as values; the names of its JSON fields stand here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import to_jsonable_python

from slimline.core.optimization.weight_history import FileSummary
from slimline.core.quantization.advisor import Advice
from slimline.core.quantization.layer_report import LayerReport
from slimline.core.quantization.stability import Stability
from slimline.core.schemes import BackendName, Keep, SchemeOrAuto
from slimline.core.tflite.provenance import Origin
from slimline.names import schema_versions


@dataclass(frozen=True)
class Sizes:
    """Bytes of a file and of the float file that it is compared with.

    Attributes:
      bytes: Of the file.
      gzip_bytes: Of the file after gzip, which is about what its download weighs.
      float_bytes: Of the float file.
      float_gzip_bytes: Of the float file after gzip.
    """

    bytes: int
    gzip_bytes: int
    float_bytes: int
    float_gzip_bytes: int

    @property
    def times_smaller(self) -> float:
        """The float file's bytes over the file's."""
        return self.float_bytes / self.bytes

    @property
    def times_smaller_gzip(self) -> float:
        """The same after gzip."""
        return self.float_gzip_bytes / self.gzip_bytes

    def to_dict(self) -> dict[str, int | float]:
        """Returns the figures for JSON."""
        ratios = {"times_smaller": self.times_smaller, "times_smaller_gzip": self.times_smaller_gzip}
        return {**to_jsonable_python(self), **ratios}


@dataclass(frozen=True)
class OutputReport:
    """How an output compares with the float model's.

    Attributes:
      agreement: As in `OutputComparison`.
      sqnr_db: In dB; None without any noise at all.
      max_abs_error: Largest difference; None when it is not finite.
    """

    agreement: float | None
    sqnr_db: float | None
    max_abs_error: float | None


@dataclass(frozen=True)
class SmokeRun:
    """What came out when the file was run.

    Attributes:
      num_records: Records that it ran on.
      records: Where they come from.
      runtime: What ran it, in words.
      outputs: By name.
    """

    num_records: int
    records: Literal["calibration", "random"]
    runtime: str
    outputs: Mapping[str, OutputReport]


@dataclass(frozen=True)
class Calibration:
    """The records that ranges were measured on.

    Attributes:
      num_records: Of them; 0 without calibration.
      stability: Whether they are enough; None when that was not measured.
    """

    num_records: int
    stability: Stability | None


@dataclass(frozen=True)
class Goal:
    """What selective quantization was to reach; see `SelectiveConfig`."""

    min_agreement: float | None
    min_sqnr_db: float | None


@dataclass(frozen=True)
class AttemptOutput:
    """How an output of an attempt compares with the float model's; see `OutputReport`."""

    agreement: float | None
    sqnr_db: float | None


@dataclass(frozen=True)
class AttemptReport:
    """A file that was made on the way.

    Attributes:
      kept: Operations kept, by the name of their output, sorted.
      bytes: Of the file; None when there is none.
      meets_goal: Whether it is good enough.
      outputs: By name.
      failure: Why it could not be made or run; empty when it could.
    """

    kept: tuple[str, ...]
    bytes: int | None
    meets_goal: bool
    outputs: Mapping[str, AttemptOutput]
    failure: str


@dataclass(frozen=True)
class SelectionReport:
    """The search for layers to keep.

    Attributes:
      goal: What was to be reached.
      precision: Of the kept layers.
      meets_goal: Whether the file reaches it.
      kept: Operations kept in the file, by the name of their output, sorted.
      num_conversions: Files that were made.
      attempts: All of them, in order.
    """

    goal: Goal
    precision: Keep
    meets_goal: bool
    kept: tuple[str, ...]
    num_conversions: int
    attempts: tuple[AttemptReport, ...]


@dataclass(frozen=True)
class QuantizationReport:
    """What a person should know of a quantized file.

    Attributes:
      scheme: Of the file.
      training: `qat` when the model was trained to be quantized.
      backend: Who converted.
      provenance: What the file is made of.
      advice: How the scheme was chosen; None when the configuration names it.
      sizes: Of the file and of the float file.
      weights: Zeros and different weights in the file.
      smoke_run: What came out when it ran; None when it could not be tried.
      calibration: The records that ranges were measured on.
      selective: The search for layers to keep; None when none was asked for.
      layers: Every operation, in the order in which they run.
      findings: What a reader should know first, one sentence each.
    """

    scheme: SchemeOrAuto
    training: Literal["qat"] | None
    backend: BackendName
    provenance: Origin
    advice: Advice | None
    sizes: Sizes
    weights: FileSummary
    smoke_run: SmokeRun | None
    calibration: Calibration
    selective: SelectionReport | None
    layers: tuple[LayerReport, ...]
    findings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of `quantization_report.json`."""
        return {
            "schema_version": schema_versions.QUANTIZATION_REPORT,
            "scheme": self.scheme,
            "training": self.training,
            "backend": self.backend,
            "provenance": self.provenance.to_dict(),
            "advice": to_jsonable_python(self.advice),
            "sizes": self.sizes.to_dict(),
            "weights": to_jsonable_python(self.weights),
            "trial": to_jsonable_python(self.smoke_run),
            "calibration": to_jsonable_python(self.calibration),
            "selective": to_jsonable_python(self.selective),
            "layers": to_jsonable_python(self.layers),
            "findings": list(self.findings),
        }
