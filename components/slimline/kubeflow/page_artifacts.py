"""What Kubeflow's page shows of a component: its artifacts of the types `system.Metrics` and `system.HTML`.

TFX has no such types. So compiling adds them to the outputs of a component (`shown_outputs`), and the container's entry
point writes them from what the executor has recorded.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slimline.kubeflow.executor_input import Adapted, Json
from slimline.names import file_names, metadata_keys

METRICS = "metrics"
REPORT = "report"
_SCHEMA_VERSION = "0.0.1"

_NUMBERS = {
    metadata_keys.AGREEMENT,
    metadata_keys.BLESSED,
    metadata_keys.GZIP_BYTES,
    metadata_keys.MAX_DISTINCT_PER_CHANNEL,
    metadata_keys.MEETS_GOAL,
    metadata_keys.SIZE_BYTES,
    metadata_keys.SPARSITY,
    metadata_keys.SQNR_DB,
}
_NUMBER_PREFIXES = (metadata_keys.METRIC_PREFIX, metadata_keys.DROP_PREFIX, metadata_keys.BASELINE_PREFIX)


@dataclass(frozen=True)
class _Shown:
    """What is shown of one executor.

    Attributes:
      recorded: Outputs whose recorded numbers are shown.
      page: The output and the file in it that the page is, or is made of.
    """

    recorded: tuple[str, ...]
    page: tuple[str, str]


_SHOWN = {
    "slimline.edge_validator.executor.EdgeValidatorExecutor": _Shown(
        ("evaluation", "blessed_model"), ("evaluation", file_names.EVALUATION_PAGE)
    ),
    "slimline.quantizer.executor.QuantizerExecutor": _Shown(
        ("quantized_model",), ("quantized_model", file_names.QUANTIZATION_REPORT)
    ),
}


def shown_outputs(executor_class_path: str) -> dict[str, Json]:
    """Returns the output definitions that compiling adds for an executor; none for one that shows none."""
    if executor_class_path not in _SHOWN:
        return {}
    return {METRICS: _definition("system.Metrics"), REPORT: _definition("system.HTML")}


def write_page_artifacts(adapted: Adapted, executor_output: Json, executor_class_path: str) -> dict[str, Json]:
    """Writes the page, and returns the metrics as artifacts for the ExecutorOutput.

    Args:
      adapted: What the container was given.
      executor_output: TFX's answer, with the metadata that the executor recorded.
      executor_class_path: Who ran.
    """
    shown = _SHOWN.get(executor_class_path)
    if shown is None:
        return {}
    if REPORT in adapted.system_outputs:
        _write_report(adapted, shown)
    if METRICS not in adapted.system_outputs:
        return {}
    recorded: dict[str, Any] = {}
    for key in shown.recorded:
        for artifact in executor_output.get("artifacts", {}).get(key, {}).get("artifacts", []):
            recorded.update(artifact.get("metadata", {}))
    given = adapted.system_outputs[METRICS]
    artifact = {"name": given.get("name", METRICS), "metadata": numbers(recorded)}
    return {METRICS: {"artifacts": [artifact]}}


def numbers(metadata: Mapping[str, Any]) -> dict[str, float]:
    """Returns the figures of a record; floats are recorded as strings, since ML Metadata's doubles lose digits."""
    found = {
        key: float(value)
        for key, value in metadata.items()
        if key in _NUMBERS or (key.startswith(_NUMBER_PREFIXES) and key != metadata_keys.BASELINE_DIGEST)
    }
    # Not a number and infinities fail the launcher's whole record.
    return {key: value for key, value in sorted(found.items()) if math.isfinite(value)}


def _write_report(adapted: Adapted, shown: _Shown) -> None:
    """Writes the page to the one object that Kubeflow shows in a frame."""
    from tfx.dsl.io import fileio

    key, name = shown.page
    folder = adapted.executor_input["outputs"]["artifacts"][key]["artifacts"][0]["uri"].rstrip("/")
    with fileio.open(f"{folder}/{name}") as stream:
        content = stream.read()
    if name == file_names.QUANTIZATION_REPORT:
        from slimline.report import render_quantization

        content = render_quantization(json.loads(content))
    target = adapted.system_outputs[REPORT]["uri"]
    fileio.makedirs(target.rpartition("/")[0])
    with fileio.open(target, "w") as stream:
        stream.write(content)


def _definition(title: str) -> Json:
    return {"artifactType": {"schemaTitle": title, "schemaVersion": _SCHEMA_VERSION}}
