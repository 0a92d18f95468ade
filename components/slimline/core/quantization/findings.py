"""What a reader of a quantization report should know first."""

from slimline.core.quantization.layer_report import FAIR_DB, GOOD_DB, MIN_ADDED
from slimline.core.quantization.report_types import QuantizationReport

_NUM_WORST = 5


def find_remarkable(report: QuantizationReport) -> tuple[str, ...]:
    """Returns one sentence for each finding, the most important first."""
    return (*_of_sizes(report), *_of_smoke_run(report), *_of_search(report), *_of_layers(report))


def _of_sizes(report: QuantizationReport) -> list[str]:
    sizes = report.sizes
    if report.scheme == "float32" or sizes.bytes < sizes.float_bytes:
        return []
    return [
        f"The file has {sizes.bytes:,} bytes and the float one {sizes.float_bytes:,}: in a model this small the scales "
        "outweigh what is saved."
    ]


def _of_smoke_run(report: QuantizationReport) -> list[str]:
    if report.smoke_run is None:
        return [_why_not_tried(report)]
    findings = []
    if report.smoke_run.records == "random":
        findings.append("The file was tried on random inputs: give calibration records to compare it on real ones.")
    for name, output in report.smoke_run.outputs.items():
        if output.sqnr_db is not None and output.sqnr_db < FAIR_DB:
            findings.append(f"Output {name!r} keeps {output.sqnr_db:.1f} dB; from {GOOD_DB:.0f} dB on it is close.")
    return findings


def _of_search(report: QuantizationReport) -> list[str]:
    findings = []
    stability = report.calibration.stability
    if stability is not None and stability.warning:
        findings.append(f"{stability.warning[0].upper()}{stability.warning[1:]}.")
    if report.selective is not None and not report.selective.meets_goal:
        findings.append("The goal of selective quantization is not met: this is the closest file that was found.")
    return findings


def _of_layers(report: QuantizationReport) -> list[str]:
    causes = [layer for layer in report.layers if layer.remark and (layer.added_noise or 0) > MIN_ADDED]
    worst = sorted(causes, key=lambda layer: -(layer.added_noise or 0))[:_NUM_WORST]
    return [f"{', '.join(layer.layers) or layer.tensor} ({layer.op}): {layer.remark}." for layer in worst]


def _why_not_tried(report: QuantizationReport) -> str:
    select = sorted({layer.op for layer in report.layers if layer.op.startswith("Flex")})
    if select:
        return (
            f"The file was not tried: {', '.join(select)} needs TensorFlow's own kernels, which no package for Python "
            "has since TensorFlow 2.20. Try it where they are linked in; no accelerator takes it."
        )
    return "The file was not tried: it takes strings, and there are no calibration records to run it on."
