"""What Kubeflow's page shows of a component: its artifacts of the types `system.Metrics` and `system.HTML`.

TFX has no such types. So compiling adds them to the outputs of a component (`shown_outputs`), and the container's entry
point writes them from what the executor has recorded.
"""

from collections.abc import Mapping
from typing import Any

from slimline.kubeflow.executor_input import Adapted, Json
from slimline.names import file_names

METRICS = "metrics"
REPORT = "report"
_SCHEMA_VERSION = "0.0.1"

# By executor: the outputs whose numbers are shown, and the output that holds a page.
_EDGE_VALIDATOR = "slimline.edge_validator.executor.EdgeValidatorExecutor"
_QUANTIZER = "slimline.quantizer.executor.QuantizerExecutor"
_METRICS_OF = {_EDGE_VALIDATOR: ("evaluation", "blessed_model"), _QUANTIZER: ("quantized_model",)}
_PAGE_OF = {_EDGE_VALIDATOR: ("evaluation", file_names.EVALUATION_PAGE)}


def shown_outputs(executor_class_path: str) -> dict[str, Json]:
    """Returns the output definitions that compiling adds for an executor; none for one that is not Slimline's."""
    outputs: dict[str, Json] = {}
    if executor_class_path in _METRICS_OF:
        outputs[METRICS] = _definition("system.Metrics")
    if executor_class_path in _PAGE_OF:
        outputs[REPORT] = _definition("system.HTML")
    return outputs


def write_page_artifacts(adapted: Adapted, executor_output: Json) -> dict[str, Json]:
    """Writes the page, and returns the metrics as artifacts for the ExecutorOutput.

    Args:
      adapted: What the container was given.
      executor_output: TFX's answer, with the metadata that the executor recorded.
    """
    if REPORT in adapted.system_outputs:
        _write_report(adapted)
    if METRICS not in adapted.system_outputs:
        return {}
    recorded: dict[str, Any] = {}
    for outputs in _METRICS_OF.values():
        for key in outputs:
            for artifact in executor_output.get("artifacts", {}).get(key, {}).get("artifacts", []):
                recorded.update(artifact.get("metadata", {}))
    artifact = {"name": METRICS, "metadata": numbers(recorded)}
    return {METRICS: {"artifacts": [artifact]}}


def numbers(metadata: Mapping[str, Any]) -> dict[str, float]:
    """Returns what is a number, or a string of one: ML Metadata's doubles lose digits, so floats are recorded so."""
    found: dict[str, float] = {}
    for key, value in metadata.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        # Not a number and infinities fail the launcher's whole record.
        if number == number and abs(number) != float("inf"):
            found[key] = number
    return found


def _write_report(adapted: Adapted) -> None:
    """Copies the page to the one object that Kubeflow shows in a frame."""
    from tfx.dsl.io import fileio

    outputs = adapted.executor_input["outputs"]["artifacts"]
    for key, name in _PAGE_OF.values():
        if key in outputs:
            source = f"{outputs[key]['artifacts'][0]['uri'].rstrip('/')}/{name}"
            fileio.copy(source, adapted.system_outputs[REPORT]["uri"], overwrite=True)


def _definition(title: str) -> Json:
    return {"artifactType": {"schemaTitle": title, "schemaVersion": _SCHEMA_VERSION}}
