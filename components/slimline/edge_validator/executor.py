"""Runs `slimline.core.evaluation` on TFX artifacts, and writes its verdict as Pusher reads it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types.artifact import Artifact

from slimline import names, shell
from slimline.core.digest import file_digest, model_digest
from slimline.core.evaluation import Candidate, Evaluation, evaluate
from slimline.core.examples import ExamplesConfig, as_numpy, labelled_batches
from slimline.core.features import load_schema
from slimline.core.gates import GateConfig
from slimline.core.intake import load_model
from slimline.core.model_io import read_tflite
from slimline.core.records import check_records
from slimline.errors import ModelError

CANDIDATE_KEYS = tuple(f"candidate_{number:02}" for number in range(1, 17))
CANDIDATE_NAMES = "candidate_names"


class EdgeValidatorExecutor(BaseExecutor):
    """Executor of `EdgeValidator`."""

    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Evaluates all candidates; writes evaluation, blessing and the blessed model, or the refusal."""
        config = GateConfig.from_json(exec_properties[shell.CONFIG])
        data = ExamplesConfig.from_json(exec_properties[shell.DATA])
        with shell.local_folder(shell.single(input_dict, "baseline").uri) as folder:
            baseline = load_model(folder, config.custom_objects)
            baseline_digest = model_digest(folder)
        labels = json.loads(exec_properties[CANDIDATE_NAMES])
        artifacts = {label: shell.single(input_dict, key) for label, key in zip(labels, CANDIDATE_KEYS, strict=False)}
        schema = load_schema(shell.schema_file(shell.single(input_dict, "schema")))
        records = check_records(shell.split_files(shell.single(input_dict, "examples"), config.split))
        batches = labelled_batches(records, schema, baseline, data, batch_size=config.batch_size)
        evaluation = evaluate(
            baseline,
            [_read_candidate(label, artifact) for label, artifact in artifacts.items()],
            as_numpy(batches, records),
            config,
        )
        outputs = {key: shell.single(output_dict, key) for key in ("evaluation", "blessing", "blessed_model")}
        _write_evaluation(outputs["evaluation"], evaluation, baseline_digest)
        if evaluation.chosen is None:
            _refuse(outputs["blessing"], outputs["blessed_model"], list(artifacts.values()), evaluation)
        else:
            _bless(outputs["blessing"], outputs["blessed_model"], artifacts[evaluation.chosen], evaluation)


def _read_candidate(label: str, artifact: Artifact) -> Candidate:
    content: bytes | ModelError
    try:
        with shell.local_folder(artifact.uri) as folder:
            content = read_tflite(folder)
    except ModelError as error:
        # One unreadable candidate is that candidate's verdict; the others are still judged.
        content = error
    return Candidate(label, artifact.get_string_custom_property(names.SCHEME), content)


def _write_evaluation(output: Artifact, evaluation: Evaluation, baseline_digest: str) -> None:
    with shell.staged_output(output.uri) as folder:
        path = folder / names.EVALUATION_FILE
        path.write_text(json.dumps(evaluation.to_dict(), indent=1) + "\n")
        digest = file_digest(path)
    shell.record(
        output,
        {
            names.CONTENT_DIGEST: digest,
            names.BASELINE_DIGEST: baseline_digest,
            names.CHOSEN: evaluation.chosen or "",
            **{names.BASELINE_PREFIX + name: value for name, value in evaluation.baseline["metrics"].items()},
        },
    )


def _bless(blessing: Artifact, blessed_model: Artifact, candidate: Artifact, evaluation: Evaluation) -> None:
    assert evaluation.chosen is not None
    report = evaluation.report_of(evaluation.chosen)
    with shell.local_folder(candidate.uri) as source, shell.staged_output(blessed_model.uri) as folder:
        _copy_serving(source, folder)
        digest = model_digest(folder)
    if digest != report.content_digest:
        raise ModelError(
            f"{candidate.uri} holds {digest}, but {report.content_digest} was evaluated",
            "a model that does not change while it is validated",
            "find out what writes to that folder, and run the pipeline again",
        )
    identity: dict[str, str | int | float] = {names.CHOSEN: evaluation.chosen, names.CONTENT_DIGEST: digest}
    figures = {
        **{names.METRIC_PREFIX + name: value for name, value in report.metrics.items()},
        **{names.DROP_PREFIX + name: value for name, value in report.drop.items()},
    }
    shell.record(
        blessed_model,
        {
            names.BLESSED: 1,
            **identity,
            **figures,
            names.SCHEME: report.scheme,
            names.SIZE_BYTES: report.size_bytes or 0,
        },
    )
    _write_blessing(blessing, 1, candidate, {**identity, **figures})


def _refuse(
    blessing: Artifact, blessed_model: Artifact, candidates: Sequence[Artifact], evaluation: Evaluation
) -> None:
    reason = "; ".join(f"{report.name}: {', '.join(report.reasons)}" for report in evaluation.candidates)
    shell.write_marker(blessed_model.uri, "NOT_BLESSED", reason + "\n")
    shell.record(blessed_model, {names.BLESSED: 0, names.REASON: reason})
    _write_blessing(blessing, 0, candidates[0], {names.REASON: reason})


def _write_blessing(
    blessing: Artifact, blessed: int, candidate: Artifact, properties: dict[str, str | int | float]
) -> None:
    """Writes what TFX's Pusher and LatestBlessedModelStrategy read, and the marker file that its Evaluator writes."""
    shell.write_marker(blessing.uri, "BLESSED" if blessed else "NOT_BLESSED", "")
    shell.record(
        blessing,
        {
            names.BLESSED: blessed,
            names.CURRENT_MODEL: candidate.uri,
            **properties,
        },
    )
    # TFX reads it as an integer, however large it is.
    blessing.set_int_custom_property(names.CURRENT_MODEL_ID, candidate.id)


def _copy_serving(source: Path, target: Path) -> None:
    shutil.copytree(source / names.SERVING_FOLDER, target / names.SERVING_FOLDER)
