"""Compares files with the model they came from on this machine, without TFX."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimline.cli.configuration_file import read_options
from slimline.cli.examples import examples_options, read_schema, record_files, require_new_folder
from slimline.cli.native_messages import without_native_messages
from slimline.cli.terminal import terminal
from slimline.errors import ConfigError, ModelError
from slimline.names import file_names


@dataclass(frozen=True)
class ValidateArguments:
    """What the command line asks for.

    Attributes:
      baseline: Folder or file of the float original.
      candidates: `.tflite` files, or folders that hold one.
      examples: Files or folders of TFRecords.
      gate: Options of `GateConfig`.
      label_key: Feature of the label; the input itself when left out.
      schema: The records' schema; taken from the first record when there is none.
      input_features: Features for inputs of another name.
      training: Files or folders of TFRecords that the model was trained on; records in both are told.
      output: Folder for `evaluation.json` and `evaluation.html`; None writes neither.
    """

    baseline: Path
    candidates: Sequence[Path]
    examples: Sequence[Path]
    gate: Mapping[str, Any]
    label_key: str | None = None
    schema: Path | None = None
    input_features: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None
    training: Sequence[Path] = ()


@dataclass(frozen=True)
class Limits:
    """What the command line limits, where no file does.

    Attributes:
      metric: What is limited; accuracy when left out.
      max_drop: Largest loss against the original.
      min_value: Smallest value.
      confidence: Level of the bounds; 0.95 when left out.
      slice_by: Features to judge by value.
      targets: Devices that must run the files.
      task: What the output decides; found from the model when left out.
    """

    metric: str | None = None
    max_drop: float | None = None
    min_value: float | None = None
    confidence: float | None = None
    slice_by: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    task: str | None = None


def make_gate(path: Path | None, limits: Limits) -> dict[str, Any]:
    """Returns the options of a `GateConfig`, from a JSON file or from the command line's own limits.

    Raises:
      ConfigError: Both are given or none, there is no such file, or it is no JSON object.
    """
    if path is None:
        if limits.max_drop is None and limits.min_value is None:
            raise ConfigError("no limit", "--max-drop, --min-value or --config", "give at least one of them")
        slices = [{"features": [name]} for name in limits.slice_by]
        threshold = {
            "metric": limits.metric or "accuracy",
            "max_drop": limits.max_drop,
            "min_value": limits.min_value,
            "slice": "*" if slices else "overall",
        }
        return {
            "thresholds": [threshold],
            "confidence": 0.95 if limits.confidence is None else limits.confidence,
            "slices": slices,
            **({"task": limits.task} if limits.task else {}),
            "targets": [{"target": name} for name in limits.targets],
        }
    if limits != Limits():
        raise ConfigError(
            "--config with limits beside it", "either the file or the options", "put all limits into the file"
        )
    return read_options(path, "GateConfig")


def validate_paths(arguments: ValidateArguments) -> dict[str, Any]:
    """Evaluates all candidates and decides.

    Returns:
      The content of `evaluation.json`, with `decision`.

    Raises:
      SlimlineError: The baseline, the examples or the options do not fit.
    """
    for path in (arguments.baseline, *arguments.candidates):
        if not path.exists():
            raise ModelError(f"nothing at {path}", "a model's folder or file", "check the path")
    if arguments.output is not None:
        require_new_folder(arguments.output)
    files = record_files(arguments.examples, "--examples")
    with terminal(stderr=True).status("loading TensorFlow and running all models"), without_native_messages():
        evaluation = _evaluate(arguments, files)
        if arguments.output is not None:
            _write(evaluation, arguments.output)
    return evaluation


def _evaluate(arguments: ValidateArguments, files: tuple[str, ...]) -> dict[str, Any]:
    from slimline.core.evaluation.gates import GateConfig
    from slimline.core.evaluation.use_case import CandidateFile, ValidationRequest, validate_candidates
    from slimline.core.examples.configuration import ExamplesConfig

    names = _names(arguments.candidates)
    request = ValidationRequest(
        baseline=arguments.baseline,
        candidates=[
            CandidateFile(name, _scheme(path), path) for name, path in zip(names, arguments.candidates, strict=True)
        ],
        files=files,
        config=GateConfig(**arguments.gate),
        schema=read_schema(arguments.schema, files),
        data=ExamplesConfig(**examples_options(arguments.label_key, arguments.input_features)),
        training_files=record_files(arguments.training, "--training"),
        training_name=f"--training {', '.join(str(path) for path in arguments.training)}",
    )
    evaluation = validate_candidates(request)
    return {**evaluation.to_dict(), "decision": evaluation.decision}


def _scheme(path: Path) -> str:
    """Returns the scheme that the report beside a file names; empty when there is none.

    Raises:
      ModelError: The report is broken.
    """
    folders = [path, *path.parents][:3]
    reports = [folder / file_names.QUANTIZATION_REPORT for folder in folders if folder.is_dir()]
    for report in reports:
        if report.is_file():
            return _read_scheme(report)
    return ""


def _read_scheme(report: Path) -> str:
    try:
        return str(json.loads(report.read_text())["scheme"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{report}, which is no report of a Quantizer: {error!r}",
            "the report as it was written",
            "quantize again, or give the .tflite file from a folder of its own",
        ) from error


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns short names: the last parts of the paths that tell them apart."""
    for length in range(1, max(len(path.resolve().parts) for path in paths) + 1):
        shortened = ["/".join(path.resolve().parts[-length:]) for path in paths]
        if len(set(shortened)) == len(paths) and not any(_says_nothing(name) for name in shortened):
            return shortened
    raise ConfigError(f"the candidate {paths[0]} twice", "different files", "give each once")


def _says_nothing(name: str) -> bool:
    return all(part.isdigit() or part in (file_names.TFLITE, file_names.SERVING_FOLDER) for part in name.split("/"))


def _write(evaluation: Mapping[str, Any], folder: Path) -> None:
    from slimline.core.atomic_write import staged_folder
    from slimline.report.page import write_page

    with staged_folder(folder) as staging:
        (staging / file_names.EVALUATION).write_text(json.dumps(evaluation, indent=1, allow_nan=False) + "\n")
        write_page(evaluation, staging / file_names.EVALUATION_PAGE)
