"""Writes the verdict as Pusher and TFX's resolvers read it."""

import json
from collections.abc import Mapping, Sequence

from tfx.types.artifact import Artifact

from slimline.core.digest import content_digest, file_digest
from slimline.core.evaluation.reports import Evaluation
from slimline.core.evaluation.served_files import ServedFiles, read_served
from slimline.names import file_names, metadata_keys
from slimline.report.page import write_page
from slimline.shells import shell


def write_evaluation(output: Artifact, evaluation: Evaluation, baseline_digest: str) -> None:
    """Writes `evaluation.json` and `evaluation.html`."""
    with shell.staged_output(output.uri) as folder:
        path = folder / file_names.EVALUATION
        content = evaluation.to_dict()
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
        write_page(content, folder / file_names.EVALUATION_PAGE)
        digest = file_digest(path)
    shell.record(
        output,
        {
            metadata_keys.CONTENT_DIGEST: digest,
            metadata_keys.BASELINE_DIGEST: baseline_digest,
            metadata_keys.CHOSEN: evaluation.chosen or "",
            metadata_keys.DECISION: evaluation.decision,
            **{metadata_keys.BASELINE_PREFIX + name: value for name, value in evaluation.baseline["metrics"].items()},
        },
    )


def recorded_digests(candidate: Artifact) -> dict[str, str]:
    """Returns the digests of a candidate's files that were recorded when they were made, by file name."""
    recorded = {
        file_names.TFLITE: candidate.get_string_custom_property(metadata_keys.CONTENT_DIGEST),
        file_names.IO_SPEC: candidate.get_string_custom_property(metadata_keys.IO_SPEC_DIGEST),
    }
    return {name: digest for name, digest in recorded.items() if digest}


def measured_files(candidate: Artifact, evaluation: Evaluation) -> ServedFiles:
    """Reads the chosen candidate's files, which have to be those that were measured.

    Raises:
      ModelError: They are not, or a file beside them is not the one that was recorded.
    """
    assert evaluation.chosen is not None
    measured = evaluation.report_of(evaluation.chosen).content_digest
    assert measured is not None
    with shell.local_folder(candidate.uri) as source:
        return read_served(source, {**recorded_digests(candidate), file_names.TFLITE: measured})


def bless(outputs: Mapping[str, Artifact], candidate: Artifact, served: ServedFiles, evaluation: Evaluation) -> None:
    """Writes the chosen model from the bytes that were measured, and both blessings.

    Args:
      outputs: By key.
      candidate: The chosen one.
      served: Its files, from `measured_files`.
      evaluation: That chose it.
    """
    assert evaluation.chosen is not None
    report = evaluation.report_of(evaluation.chosen)
    with shell.staged_output(outputs["blessed_model"].uri) as folder:
        served.write(folder)
    identity: dict[str, str | int | float] = {
        metadata_keys.CHOSEN: evaluation.chosen,
        metadata_keys.CONTENT_DIGEST: content_digest(served.content),
    }
    figures = {
        **{metadata_keys.METRIC_PREFIX + name: value for name, value in report.metrics.items()},
        **{metadata_keys.DROP_PREFIX + name: value for name, value in report.drop.items()},
    }
    shell.record(
        outputs["blessed_model"],
        {
            metadata_keys.BLESSED: 1,
            **identity,
            **figures,
            metadata_keys.SCHEME: report.scheme,
            metadata_keys.SIZE_BYTES: report.size_bytes or 0,
        },
    )
    _write_blessing(outputs["blessing"], 1, candidate, {**identity, **figures})
    _write_infra_blessing(outputs["infra_blessing"], 1, identity)


def refuse(outputs: Mapping[str, Artifact], candidates: Sequence[Artifact], evaluation: Evaluation) -> None:
    """Writes outputs that exist and say that nothing is blessed, and why."""
    reason = "; ".join(f"{report.name}: {', '.join(report.reasons)}" for report in evaluation.candidates)
    shell.write_marker(outputs["blessed_model"].uri, "NOT_BLESSED", reason + "\n")
    shell.record(outputs["blessed_model"], {metadata_keys.BLESSED: 0, metadata_keys.REASON: reason})
    _write_blessing(outputs["blessing"], 0, candidates[0], {metadata_keys.REASON: reason})
    _write_infra_blessing(outputs["infra_blessing"], 0, {metadata_keys.REASON: reason})


def _write_blessing(
    blessing: Artifact, blessed: int, candidate: Artifact, properties: Mapping[str, str | int | float]
) -> None:
    """Writes what TFX's Pusher and LatestBlessedModelStrategy read, and the marker file that its Evaluator writes."""
    shell.write_marker(blessing.uri, "BLESSED" if blessed else "NOT_BLESSED", "")
    shell.record(
        blessing,
        {
            metadata_keys.BLESSED: blessed,
            metadata_keys.CURRENT_MODEL: candidate.uri,
            **properties,
        },
    )
    # TFX reads it as an integer, however large it is.
    blessing.set_int_custom_property(metadata_keys.CURRENT_MODEL_ID, candidate.id)


def _write_infra_blessing(blessing: Artifact, blessed: int, properties: Mapping[str, str | int | float]) -> None:
    """Writes what TFX's InfraValidator would: whether the model loads and runs.

    `has_model` is 0: the blessed model is an output of its own, and Pusher takes it from there.
    """
    shell.write_marker(blessing.uri, "INFRA_BLESSED" if blessed else "INFRA_NOT_BLESSED", "")
    shell.record(blessing, {metadata_keys.BLESSED: blessed, metadata_keys.HAS_MODEL: 0, **properties})
