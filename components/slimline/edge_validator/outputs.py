"""Writes the verdict as Pusher and TFX's resolvers read it."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfx.types.artifact import Artifact

from slimline.core.digest import file_digest, model_digest
from slimline.core.evaluation.reports import Evaluation
from slimline.errors import ModelError
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


def bless(outputs: Mapping[str, Artifact], candidate: Artifact, evaluation: Evaluation) -> None:
    """Copies the chosen model and writes both blessings.

    Raises:
      ModelError: The file is not the one that was evaluated.
    """
    assert evaluation.chosen is not None
    report = evaluation.report_of(evaluation.chosen)
    with shell.local_folder(candidate.uri) as source, shell.staged_output(outputs["blessed_model"].uri) as folder:
        _copy_serving(source, folder)
        digest = model_digest(folder)
    if digest != report.content_digest:
        raise ModelError(
            f"{candidate.uri} holds {digest}, but {report.content_digest} was evaluated",
            "a model that does not change while it is validated",
            "find out what writes to that folder, and run the pipeline again",
        )
    identity: dict[str, str | int | float] = {
        metadata_keys.CHOSEN: evaluation.chosen,
        metadata_keys.CONTENT_DIGEST: digest,
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


def _copy_serving(source: Path, target: Path) -> None:
    shutil.copytree(source / file_names.SERVING_FOLDER, target / file_names.SERVING_FOLDER)
