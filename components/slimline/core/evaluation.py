"""Compares candidates with the model they came from, on the same examples, and decides which may ship."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from slimline.core.gates import GateConfig, Measured, choose, judge
from slimline.core.intake import TrainedModel
from slimline.core.metrics import METRICS, drop
from slimline.core.model_io import gzip_size
from slimline.core.quantization import QuantizationConfig, quantize
from slimline.core.runtime import TFLiteModel
from slimline.errors import ExamplesError, ModelError

SCHEMA_VERSION = 1

Batch: TypeAlias = tuple[Mapping[str, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Candidate:
    """A model that wants to be shipped.

    Attributes:
      name: Unique among the candidates.
      scheme: How it was quantized; empty when unknown.
      content: Bytes of the `.tflite` file, or the error that kept it from being read.
    """

    name: str
    scheme: str
    content: bytes | ModelError


@dataclass(frozen=True)
class CandidateReport:
    """All that is known of a candidate after the evaluation.

    Attributes:
      name: As given.
      scheme: As given.
      content_digest: `sha256:<hex>` of the `.tflite` file; nothing when it could not be read.
      size_bytes: Of the file.
      gzip_bytes: Of the file after gzip at level 9.
      metrics: Value by metric; empty when the model could not be evaluated.
      drop: Loss against the baseline by metric, negative for a gain.
      latency_ms: Median of one inference on this host, one thread.
      verdict: `pass` or `fail`.
      reasons: One sentence per limit that failed, or, for a pass, per limit that held.
    """

    name: str
    scheme: str
    content_digest: str | None
    size_bytes: int | None
    gzip_bytes: int | None
    metrics: Mapping[str, float]
    drop: Mapping[str, float]
    latency_ms: float | None
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """The whole comparison.

    Attributes:
      num_examples: Examples that all models saw.
      primary_metric: The first threshold's metric.
      baseline: Metrics of the original model, with size and latency of its plain float32 conversion.
      candidates: In the order given.
      chosen: Name of the candidate to ship, or nothing.
    """

    num_examples: int
    primary_metric: str
    baseline: Mapping[str, Any]
    candidates: tuple[CandidateReport, ...]
    chosen: str | None
    schema_version: int = field(default=SCHEMA_VERSION)

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of `evaluation.json`, in full precision."""
        return asdict(self)

    def report_of(self, name: str) -> CandidateReport:
        """Returns one candidate's report."""
        return next(report for report in self.candidates if report.name == name)


def evaluate(
    baseline: TrainedModel, candidates: Sequence[Candidate], batches: Iterable[Batch], config: GateConfig
) -> Evaluation:
    """Measures all models on the same examples and applies the limits.

    Args:
      baseline: The Trainer's model of any kind that `load_model` returns, with one output.
      candidates: At least one, with different names.
      batches: (inputs by name, labels) as NumPy arrays.
      config: Metrics, limits and goal.

    Raises:
      ModelError: The baseline can't be evaluated: then nothing can be blessed.
      ExamplesError: There are no examples, or the labels do not suit a metric.
    """
    if len(baseline.outputs) != 1:
        raise ModelError(
            f"a baseline with the outputs {', '.join(baseline.output_names)}", "one output", "choose one to validate"
        )
    runs = [_CandidateRun(candidate, baseline, config) for candidate in candidates]
    totals = dict.fromkeys(config.metrics, 0.0)
    num_examples = 0
    first_example: Mapping[str, np.ndarray] | None = None
    for inputs, labels in batches:
        if first_example is None:
            first_example = {name: values[:1] for name, values in inputs.items()}
        predictions = np.asarray(baseline(dict(inputs), training=False))
        if not np.isfinite(predictions).all():
            raise ModelError("a baseline that predicts NaN or infinity", "finite predictions", "train it again")
        for name in totals:
            totals[name] += float(METRICS[name].values(labels, predictions).sum())
        num_examples += len(labels)
        for run in runs:
            run.add(inputs, labels)
    if first_example is None:
        raise ExamplesError("no examples to evaluate on", "at least one", "check the split that the gate reads")
    reference = {name: total / num_examples for name, total in totals.items()}
    finished = [run.finish(num_examples, reference, first_example) for run in runs]
    passed = {report.name: measured for report, measured in finished if measured and report.verdict == "pass"}
    return Evaluation(
        num_examples=num_examples,
        primary_metric=config.metrics[0],
        baseline=_describe_baseline(baseline, reference, first_example),
        candidates=tuple(report for report, _ in finished),
        chosen=choose(passed, config),
    )


class _CandidateRun:
    """One candidate on its way through the examples. A candidate that fails keeps the reason and the others go on."""

    def __init__(self, candidate: Candidate, baseline: TrainedModel, config: GateConfig) -> None:
        self._candidate = candidate
        self._config = config
        self._totals = dict.fromkeys(config.metrics, 0.0)
        self._failure: str | None = None
        self._model: TFLiteModel | None = None
        self._output = baseline.output_names[0]
        try:
            if isinstance(candidate.content, ModelError):
                raise candidate.content
            self._model = TFLiteModel(candidate.content, candidate.name)
            self._failure = _misfit(self._model, baseline)
        except ModelError as error:
            self._failure = error.found

    def add(self, inputs: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
        if self._failure is not None or self._model is None:
            return
        try:
            predictions = self._model.predict(inputs)[self._output]
        except ModelError as error:
            self._failure = error.found
            return
        if not np.isfinite(predictions).all():
            self._failure = "it predicts NaN or infinity"
            return
        for name in self._totals:
            self._totals[name] += float(METRICS[name].values(labels, predictions).sum())

    def finish(
        self, num_examples: int, baseline: Mapping[str, float], example: Mapping[str, np.ndarray]
    ) -> tuple[CandidateReport, Measured | None]:
        report = self._describe_file()
        if self._failure is not None or self._model is None or report.size_bytes is None or report.gzip_bytes is None:
            return report, None
        metrics = {name: total / num_examples for name, total in self._totals.items()}
        latency = self._model.measure_latency(example)
        measured = Measured(metrics, report.size_bytes, report.gzip_bytes, latency.p50_ms)
        rules = judge(baseline, measured, self._config)
        passed = all(rule.passed for rule in rules)
        judged = replace(
            report,
            metrics=metrics,
            drop={name: drop(name, baseline[name], value) for name, value in metrics.items()},
            latency_ms=latency.p50_ms,
            verdict="pass" if passed else "fail",
            reasons=tuple(rule.text for rule in rules if rule.passed == passed),
        )
        return judged, measured

    def _describe_file(self) -> CandidateReport:
        """Reports the file alone, as what a candidate gets that could not be evaluated."""
        content = self._candidate.content
        known = content if isinstance(content, bytes) else None
        return CandidateReport(
            name=self._candidate.name,
            scheme=self._candidate.scheme,
            content_digest=None if known is None else "sha256:" + hashlib.sha256(known).hexdigest(),
            size_bytes=None if known is None else len(known),
            gzip_bytes=None if known is None else gzip_size(known),
            metrics={},
            drop={},
            latency_ms=None,
            verdict="fail",
            reasons=(self._failure or "",),
        )


def _misfit(model: TFLiteModel, baseline: TrainedModel) -> str | None:
    """Returns why a candidate can't be compared with the baseline, or nothing when it can."""
    inputs = {name: tuple(t.shape[1:]) for name, t in zip(baseline.input_names, baseline.inputs, strict=True)}
    outputs = {name: tuple(t.shape[1:]) for name, t in zip(baseline.output_names, baseline.outputs, strict=True)}
    if model.input_shapes != inputs:
        return f"its inputs are {model.input_shapes}, but the baseline's are {inputs}"
    if model.output_shapes != outputs:
        return f"its outputs are {model.output_shapes}, but the baseline's are {outputs}"
    return None


def _describe_baseline(
    baseline: TrainedModel, metrics: Mapping[str, float], example: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Describes the original; a Keras model has no file size to compare with, its plain conversion has."""
    try:
        content = quantize(baseline, QuantizationConfig(scheme="float32"))
        latency_ms = TFLiteModel(content, "the baseline's conversion").measure_latency(example).p50_ms
    except ModelError as error:
        unknown: dict[str, Any] = {"size_bytes": None, "gzip_bytes": None, "latency_ms": None}
        return {"metrics": dict(metrics), **unknown, "not_converted": error.found}
    sizes = {"size_bytes": len(content), "gzip_bytes": gzip_size(content)}
    return {"metrics": dict(metrics), **sizes, "latency_ms": latency_ms}
