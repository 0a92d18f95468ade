"""What an evaluation found: of each candidate, and of all together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from slimline.core.evaluation.judging import Verdict
from slimline.core.targets.device import DeviceMeasurement
from slimline.core.targets.report import TargetReport
from slimline.names import schema_versions

Decision: TypeAlias = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True)
class CandidateReport:
    """All that is known of a candidate after the evaluation.

    Attributes:
      name: As given.
      scheme: As given.
      content_digest: `sha256:<hex>` of the `.tflite` file; None when it could not be read.
      size_bytes: Of the file.
      gzip_bytes: Of the file after gzip at level 9.
      metrics: Value by metric; empty when the model could not be evaluated.
      drop: Loss against the baseline by metric, negative for a gain.
      latency_ms: Median of one inference on this host, one thread.
      latency_p90_ms: 90th percentile of the same.
      memory_bytes: What the model, its tensors and kernels took at most on this host.
      slices: By slice and metric: value, drop, and the drop's bounds.
      changes: Decisions that are not the baseline's: its class, the candidate's, and how often.
      targets: What each target makes of the file.
      device: Figures measured on a device.
      verdict: `pass`, `fail` or `undecided`.
      reasons: One sentence per limit that failed or is undecided, or, for a pass, per limit that held.
      verdicts: Every limit on every slice.
      is_pareto: Whether no other candidate is as good in loss, size and latency and better in one.
      confidence: With which it keeps all its limits, counted that it was one of several: 1 minus its p-value after
        Holm's correction. None when it broke a limit without chance, or nothing was asked of chance.
    """

    name: str
    scheme: str
    content_digest: str | None
    size_bytes: int | None
    gzip_bytes: int | None
    metrics: Mapping[str, float]
    drop: Mapping[str, float]
    latency_ms: float | None
    latency_p90_ms: float | None
    memory_bytes: int | None
    slices: Mapping[str, Mapping[str, Any]]
    changes: Sequence[tuple[int, int, int]]
    targets: Mapping[str, TargetReport]
    device: DeviceMeasurement | None
    verdict: Decision
    reasons: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    is_pareto: bool = False
    confidence: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """The whole comparison.

    Attributes:
      num_examples: Examples that all models saw.
      primary_metric: The first threshold's metric.
      config: The gate's configuration.
      slices: Examples in each slice.
      baseline: Metrics of the original model, with size and latency of its plain float32 conversion.
      candidates: In the order given.
      chosen: Name of the candidate to ship, or None.
      nearest_miss: Name of the candidate that came closest when none passes.
      warnings: What a reader should know of the examples.
      task: What the output decides, and what that was found from.
    """

    num_examples: int
    primary_metric: str
    config: Mapping[str, Any]
    slices: Mapping[str, int]
    baseline: Mapping[str, Any]
    candidates: tuple[CandidateReport, ...]
    chosen: str | None
    nearest_miss: str | None
    warnings: tuple[str, ...] = ()
    task: str = ""
    schema_version: int = field(default=schema_versions.EVALUATION)

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of `evaluation.json`, in full precision."""
        return asdict(self)

    def report_of(self, name: str) -> CandidateReport:
        """Returns one candidate's report."""
        return next(report for report in self.candidates if report.name == name)

    @property
    def decision(self) -> Decision:
        """Whether a candidate passes; if none does, whether more examples could change that."""
        if self.chosen is not None:
            return "pass"
        return "undecided" if any(report.verdict == "undecided" for report in self.candidates) else "fail"
