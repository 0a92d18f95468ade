"""Gathers what a person should know of a quantized file: `quantization_report.json`."""

from collections.abc import Sequence
from dataclasses import replace

from ai_edge_litert import __version__ as litert_version

from slimline.core.models.saving import gzip_size
from slimline.core.optimization.weight_history import summarize_file
from slimline.core.quantization.advisor import Advice
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.findings import find_remarkable
from slimline.core.quantization.layer_report import describe_layers, finite_or_none
from slimline.core.quantization.production import Examination, Product, SampleInputs
from slimline.core.quantization.report_types import (
    AttemptOutput,
    AttemptReport,
    Calibration,
    Goal,
    OutputReport,
    QuantizationReport,
    SelectionReport,
    Sizes,
    SmokeRun,
)
from slimline.core.quantization.selective import Attempt, Selection
from slimline.core.quantization.stability import Stability
from slimline.core.tflite.flatbuffer import weight_tensors
from slimline.core.tflite.provenance import Origin


def make_report(
    config: QuantizationConfig,
    product: Product,
    examination: Examination | None,
    records: SampleInputs | None,
    *,
    layer_names: Sequence[str] = (),
    origin: Origin,
    advice: Advice | None = None,
    stability: Stability | None = None,
) -> QuantizationReport:
    """Returns what is known of a file.

    Args:
      config: The scheme, decided.
      product: The file, and the float file.
      examination: What came out when it ran; None when it could not be tried.
      records: What it ran on.
      layer_names: Of the Keras model, to name operations by; empty when its layers are not known.
      origin: What the file is made of.
      advice: How the scheme was chosen, when the advisor did.
      stability: Of the ranges that the records give.
    """
    report = QuantizationReport(
        scheme=config.scheme,
        training=config.training,
        backend=config.backend,
        provenance=origin,
        advice=advice,
        sizes=measure_sizes(product),
        weights=summarize_file(weight_tensors(product.content)),
        smoke_run=describe_smoke_run(examination, records),
        calibration=Calibration(
            len(records) if records is not None and records.source == "calibration" else 0, stability
        ),
        selective=describe_selection(product.selection, config) if product.selection else None,
        layers=describe_layers(product, examination.errors if examination else (), layer_names),
    )
    return replace(report, findings=find_remarkable(report))


def measure_sizes(product: Product) -> Sizes:
    """Returns raw and gzip bytes of the file and of the float file."""
    return Sizes(
        len(product.content), gzip_size(product.content), len(product.float_content), gzip_size(product.float_content)
    )


def describe_smoke_run(examination: Examination | None, records: SampleInputs | None) -> SmokeRun | None:
    """Returns how the outputs compare with the float model's; None when the file was not run."""
    if examination is None or records is None:
        return None
    outputs = {
        name: OutputReport(output.agreement, finite_or_none(output.sqnr_db), finite_or_none(output.max_abs_error))
        for name, output in examination.outputs.items()
    }
    runtime = f"LiteRT {litert_version}, its default delegate, one thread"
    return SmokeRun(examination.num_tried, records.source, runtime, outputs)


def describe_selection(selection: Selection, config: QuantizationConfig) -> SelectionReport:
    """Returns what was kept, whether the goal is met, and what was tried on the way."""
    assert config.selective is not None
    return SelectionReport(
        goal=Goal(config.selective.min_agreement, config.selective.min_sqnr_db),
        precision=config.selective.keep,
        meets_goal=selection.best.meets_goal,
        kept=tuple(sorted(selection.best.kept)),
        num_conversions=len(selection.attempts),
        attempts=tuple(_describe_attempt(attempt) for attempt in selection.attempts),
    )


def _describe_attempt(attempt: Attempt) -> AttemptReport:
    return AttemptReport(
        kept=tuple(sorted(attempt.kept)),
        bytes=len(attempt.content) if attempt.content is not None else None,
        meets_goal=attempt.meets_goal,
        outputs={
            name: AttemptOutput(output.agreement, finite_or_none(output.sqnr_db))
            for name, output in attempt.outputs.items()
        },
        failure=attempt.failure,
    )
