"""What a person should know of a quantized file, in figures and in words: `quantization_report.json`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ai_edge_litert import __version__ as litert_version

from slimline.core.models.saving import gzip_size
from slimline.core.optimization.weight_history import summarize_file
from slimline.core.quantization.advisor import Advice
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.production import Examination, Product, SampleInputs
from slimline.core.quantization.selective import Attempt, Selection
from slimline.core.quantization.stability import Stability
from slimline.core.tflite.activations import ActivationError, added_noise
from slimline.core.tflite.flatbuffer import Operation, WeightTensor, counterparts, operations, weight_tensors
from slimline.names import schema_versions

# At 30 dB the noise has 3% of the signal's amplitude, at 20 dB a tenth of it.
_GOOD_DB, _FAIR_DB = 30.0, 20.0
_WIDE_SPREAD = 50.0
# A layer that adds less is no cause worth to be named first.
_MIN_ADDED = 10 ** (-_FAIR_DB / 10)
_NO_LAYER = ("QUANTIZE", "DEQUANTIZE")
# Classes that never occur have scores near zero, whose noise is of no consequence.
_PROBABILITIES = ("SOFTMAX", "LOGISTIC")
_NUM_WORST = 5


def write_report(
    config: QuantizationConfig,
    product: Product,
    examination: Examination | None,
    records: SampleInputs | None,
    *,
    layer_names: Sequence[str] = (),
    origin: Mapping[str, Any],
    advice: Advice | None = None,
    stability: Stability | None = None,
) -> dict[str, Any]:
    """Returns the content of `quantization_report.json`.

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
    errors = examination.errors if examination else ()
    layers = describe_layers(product, errors, layer_names)
    report: dict[str, Any] = {
        "schema_version": schema_versions.QUANTIZATION_REPORT,
        "scheme": config.scheme,
        "training": config.training,
        "backend": config.backend,
        "provenance": dict(origin),
        "advice": advice.to_dict() if advice else None,
        "sizes": describe_sizes(product),
        "weights": summarize_file(weight_tensors(product.content)),
        "trial": describe_smoke_run(examination, records),
        "calibration": {
            "num_records": len(records) if records and records.source == "calibration" else 0,
            "stability": stability.to_dict() if stability else None,
        },
        "selective": describe_selection(product.selection, config) if product.selection else None,
        "layers": layers,
    }
    return {**report, "findings": find_remarkable(report, stability)}


def describe_sizes(product: Product) -> dict[str, Any]:
    """Returns raw and gzip bytes of the file and of the float file, and how many times smaller it is."""
    sizes = {
        "bytes": len(product.content),
        "gzip_bytes": gzip_size(product.content),
        "float_bytes": len(product.float_content),
        "float_gzip_bytes": gzip_size(product.float_content),
    }
    return {
        **sizes,
        "times_smaller": sizes["float_bytes"] / sizes["bytes"],
        "times_smaller_gzip": sizes["float_gzip_bytes"] / sizes["gzip_bytes"],
    }


def describe_smoke_run(examination: Examination | None, records: SampleInputs | None) -> dict[str, Any] | None:
    """Returns how the outputs compare with the float model's. A ratio that is null had no noise at all."""
    if examination is None or records is None:
        return None
    return {
        "num_records": examination.num_tried,
        "records": records.source,
        "runtime": f"LiteRT {litert_version}, its default delegate, one thread",
        "outputs": {
            name: {
                **asdict(output),
                "sqnr_db": _finite(output.sqnr_db),
                "max_abs_error": _finite(output.max_abs_error),
            }
            for name, output in examination.outputs.items()
        },
    }


def describe_selection(selection: Selection, config: QuantizationConfig) -> dict[str, Any]:
    """Returns what was kept, whether the goal is met, and what was tried on the way."""
    assert config.selective is not None

    def describe(attempt: Attempt) -> dict[str, Any]:
        return {
            "kept": sorted(attempt.kept),
            "bytes": len(attempt.content) if attempt.content is not None else None,
            "meets_goal": attempt.meets_goal,
            "outputs": {
                name: {"agreement": output.agreement, "sqnr_db": _finite(output.sqnr_db)}
                for name, output in attempt.outputs.items()
            },
            "failure": attempt.failure,
        }

    return {
        "goal": {"min_agreement": config.selective.min_agreement, "min_sqnr_db": config.selective.min_sqnr_db},
        "precision": config.selective.keep,
        "meets_goal": selection.best.meets_goal,
        "kept": sorted(selection.best.kept),
        "num_conversions": len(selection.attempts),
        "attempts": [describe(attempt) for attempt in selection.attempts],
    }


def describe_layers(
    product: Product, errors: Sequence[ActivationError], layer_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns one entry per operation of the file, in the order in which they run."""
    listed = operations(product.float_content)
    others = counterparts(listed, operations(product.content))
    by_name = {operation.output: error for error in errors if (operation := others.get(error.operation.output))}
    noise = added_noise(errors)
    added = {name: noise[error.operation.output] for name, error in by_name.items()}
    weights = {tensor.output: tensor for tensor in weight_tensors(product.content)}
    before = {others[operation.output].output: operation for operation in listed if operation.output in others}
    return [
        _describe_layer(
            operation,
            by_name.get(operation.output),
            added.get(operation.output),
            weights.get(operation.output),
            before.get(operation.output),
            _layers_of(operation.output, layer_names),
        )
        for operation in operations(product.content)
        if operation.op not in _NO_LAYER
    ]


def _describe_layer(
    operation: Operation,
    error: ActivationError | None,
    added: float | None,
    weights: WeightTensor | None,
    before: Operation | None,
    layers: Sequence[str],
) -> dict[str, Any]:
    return {
        "layers": list(layers),
        "op": operation.op,
        "tensor": operation.output,
        "dtype": operation.output_dtype,
        "weight_dtype": operation.weight_dtype or None,
        "weight_bytes": operation.weight_bytes,
        "float_weight_bytes": before.weight_bytes if before else None,
        "sparsity": weights.num_zeros / weights.num_weights if weights else None,
        "max_distinct_per_channel": weights.max_distinct_per_channel if weights else None,
        "sqnr_db": _finite(error.sqnr_db) if error else None,
        "lost_channels": error.lost_channels if error else None,
        "num_channels": len(error.signal) if error else None,
        "added_noise": added,
        "remark": remark(error, added) if error and added is not None else "",
    }


def remark(error: ActivationError, added: float) -> str:
    """Says what an error means and what can be done about it; empty when there is nothing to do.

    Args:
      error: Of an operation.
      added: The share of noise that its inputs do not have.
    """
    lost = f"{error.lost_channels} of {len(error.signal)} channels are lost"
    is_close = error.sqnr_db >= _GOOD_DB and error.operation.op in _PROBABILITIES
    if is_close or (error.noise_share <= _MIN_ADDED and not error.lost_channels):
        return ""
    if added <= _MIN_ADDED:
        return "it passes on the noise of its inputs"
    if error.spread >= _WIDE_SPREAD and error.lost_channels:
        return (
            f"{lost}: the largest channel is {error.spread:,.0f} times the median one, and all share one scale. Bring "
            "the channels to like ranges (BatchNormalization, or a bounded activation such as ReLU6), or keep this "
            "layer with selective"
        )
    noise = math.sqrt(float(error.noise.sum()) / max(float(error.signal.sum()), 1e-300))
    return (
        f"its noise has {100 * noise:.0f}% of the signal's amplitude{f', and {lost}' if error.lost_channels else ''}: "
        "other calibration records, int16x8, or quantization-aware training may help"
    )


def find_remarkable(report: Mapping[str, Any], stability: Stability | None) -> list[str]:
    """Returns what a reader should know first, one sentence each."""
    findings = []
    sizes = report["sizes"]
    if report["scheme"] != "float32" and sizes["bytes"] >= sizes["float_bytes"]:
        findings.append(
            f"The file has {sizes['bytes']:,} bytes and the float one {sizes['float_bytes']:,}: in a model this small "
            "the scales outweigh what is saved."
        )
    if report["trial"] is None:
        findings.append(_why_not_tried(report))
    elif report["trial"]["records"] == "random":
        findings.append("The file was tried on random inputs: give calibration records to compare it on real ones.")
    for name, output in (report["trial"] or {"outputs": {}})["outputs"].items():
        if output["sqnr_db"] is not None and output["sqnr_db"] < _FAIR_DB:
            findings.append(f"Output {name!r} keeps {output['sqnr_db']:.1f} dB; from {_GOOD_DB:.0f} dB on it is close.")
    if stability is not None and stability.warning:
        findings.append(f"{stability.warning[0].upper()}{stability.warning[1:]}.")
    if report["selective"] and not report["selective"]["meets_goal"]:
        findings.append("The goal of selective quantization is not met: this is the closest file that was found.")
    causes = [layer for layer in report["layers"] if layer["remark"] and layer["added_noise"] > _MIN_ADDED]
    worst = sorted(causes, key=lambda layer: -layer["added_noise"])[:_NUM_WORST]
    return findings + [
        f"{', '.join(layer['layers']) or layer['tensor']} ({layer['op']}): {layer['remark']}." for layer in worst
    ]


def _why_not_tried(report: Mapping[str, Any]) -> str:
    select = sorted({layer["op"] for layer in report["layers"] if layer["op"].startswith("Flex")})
    if select:
        return (
            f"The file was not tried: {', '.join(select)} needs TensorFlow's own kernels, which no package for Python "
            "has since TensorFlow 2.20. Try it where they are linked in; no accelerator takes it."
        )
    return "The file was not tried: it takes strings, and there are no calibration records to run it on."


def _layers_of(tensor: str, layer_names: Sequence[str]) -> list[str]:
    """Returns the Keras layers that an operation was made from, as far as its output's name tells."""
    parts = {part for path in tensor.split(";") for part in path.split("/")}
    bare = {part.removeprefix("quant_").removeprefix("qat_") for part in parts}
    return [name for name in layer_names if name in bare]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
