"""Prunes, clusters or trains a model to be quantized on this machine, without TFX."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table

from slimline.cli.configuration_file import read_options
from slimline.cli.examples import examples_options, read_schema, record_files, require_new_folder
from slimline.cli.native_messages import without_native_messages
from slimline.cli.quantizing import Quantized, print_report
from slimline.cli.terminal import terminal
from slimline.errors import ConfigError, ModelError
from slimline.names import file_names

if TYPE_CHECKING:
    from slimline.core.examples.configuration import ExamplesConfig
    from slimline.core.optimization.stage_evaluation import StageEvaluation
    from slimline.core.optimization.training import Watch
    from slimline.core.optimization.training_config import TechniqueConfig
    from slimline.core.optimization.weight_history import WeightSnapshot

TechniqueName: TypeAlias = Literal["pruning", "clustering"]


@dataclass(frozen=True)
class TrainArguments:
    """What the command line asks for.

    Attributes:
      model: Folder or file, as a Trainer or an earlier technique wrote it.
      output: Folder to write to, which must be new or empty.
      examples: Files or folders of TFRecords to train on.
      held: The same of examples that are only measured on.
      options: Of the technique's configuration.
      schema: The records' schema; taken from the first record when there is none.
      label_key: Feature of the label; the input itself when left out.
      input_features: Features for inputs of another name.
      preprocessing_fn: Dotted path of a function that replaces both.
    """

    model: Path
    output: Path
    examples: Sequence[Path]
    options: Mapping[str, Any]
    held: Sequence[Path] = ()
    schema: Path | None = None
    label_key: str | None = None
    input_features: Mapping[str, str] = field(default_factory=dict)
    preprocessing_fn: str | None = None

    def data(self) -> "ExamplesConfig":
        """Returns how the examples are read.

        Raises:
          ConfigError: A function replaces features that are given beside it.
        """
        from slimline.core.examples.configuration import ExamplesConfig

        if self.preprocessing_fn is None:
            return ExamplesConfig(**examples_options(self.label_key, self.input_features))
        label = {"label_key": self.label_key} if self.label_key else {}
        features = {"input_features": dict(self.input_features)} if self.input_features else {}
        return ExamplesConfig(preprocessing_fn=self.preprocessing_fn, **label, **features)


@dataclass(frozen=True)
class Optimized:
    """What came of pruning or clustering.

    Attributes:
      path: Folder of the model.
      snapshot: Its weights, and loss and metrics before and after.
      lost_gains: Zeros and clusters of earlier techniques that were lost, in words.
      harm: That the loss rose over its limit, in words; None when it did not.
    """

    path: Path
    snapshot: "WeightSnapshot"
    lost_gains: tuple[str, ...]
    harm: str | None

    def to_dict(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        from slimline.core.models.weights import max_distinct, sparsity

        return {
            "path": str(self.path),
            "technique": self.snapshot.name,
            "sparsity": sparsity(self.snapshot.kernels),
            "max_distinct_weights": max_distinct(self.snapshot.kernels),
            "evaluations": [asdict(evaluation) for evaluation in self.snapshot.evaluations],
            "harm": self.harm,
            "lost_gains": list(self.lost_gains),
            "left": dict(self.snapshot.left),
            "kernels": [asdict(kernel) for kernel in self.snapshot.kernels],
        }


@dataclass(frozen=True)
class Trained:
    """What came of quantization-aware training.

    Attributes:
      quantized: The file.
      evaluations: Loss and metrics before and after the training.
      left: Why some layers were not trained, by their names.
      harm: That the loss rose over its limit, in words; None when it did not.
    """

    quantized: Quantized
    evaluations: "tuple[StageEvaluation, ...]"
    left: Mapping[str, str]
    harm: str | None

    def to_dict(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            **self.quantized.to_dict(),
            "evaluations": [asdict(evaluation) for evaluation in self.evaluations],
            "harm": self.harm,
            "left": dict(self.left),
        }


def merged_options(given: Mapping[str, Any], file: Path | None, configuration: str) -> dict[str, Any]:
    """Returns options of a file, and over them those of the command line that are not None.

    Raises:
      ConfigError: The file is none of options.
    """
    from_file = {} if file is None else read_options(file, configuration)
    return {**from_file, **{name: value for name, value in given.items() if value is not None}}


def optimize_path(technique: TechniqueName, arguments: TrainArguments) -> Optimized:
    """Prunes or clusters a model, and writes it with `gains.json`.

    Raises:
      SlimlineError: The model, the examples or the options do not fit; then nothing is written.
    """
    files, held = _find_files(arguments)
    with _loaded() as watch:
        from slimline.core.atomic_write import staged_folder
        from slimline.core.optimization.use_case import OptimizationRequest, optimize_model

        request = OptimizationRequest(
            model=arguments.model,
            config=_configuration(technique, arguments.options),
            files=files,
            held_files=held,
            schema=read_schema(arguments.schema, files),
            data=arguments.data(),
            watch=watch,
        )
        result = optimize_model(request)
        with staged_folder(arguments.output) as folder:
            result.write(folder)
    return Optimized(arguments.output, result.history[-1], result.lost, result.harm)


def train_path(arguments: TrainArguments, quantization: Mapping[str, Any], calibration: Sequence[Path] = ()) -> Trained:
    """Trains a model to be quantized, converts it to int8, and writes the file with its report.

    Args:
      arguments: Of the training; its options are those of `QatConfig`.
      quantization: Options of `QuantizationConfig`.
      calibration: Files or folders of TFRecords, for layers that can't be trained.

    Raises:
      SlimlineError: The model, the records or the options do not fit; then nothing is written.
    """
    files, held = _find_files(arguments)
    calibration_files = record_files(calibration, "--calibration")
    with _loaded() as watch:
        from slimline.core.atomic_write import staged_folder
        from slimline.core.quantization.configuration import QuantizationConfig
        from slimline.core.quantization.use_case import QuantizationRequest, quantize_model

        config = QuantizationConfig(scheme="int8", training="qat", qat=dict(arguments.options), **quantization)
        request = QuantizationRequest(
            model=arguments.model,
            config=config,
            calibration=calibration_files,
            training_files=lambda: files,
            held_files=lambda: held,
            schema=read_schema(arguments.schema, files),
            data=arguments.data(),
            watch=watch,
        )
        result = quantize_model(request)
        with staged_folder(arguments.output) as folder:
            result.write(folder)
    training = result.training
    assert training is not None
    path = arguments.output / file_names.SERVING_FOLDER / file_names.TFLITE
    quantized = Quantized(path, result.package.report, result.lost)
    return Trained(quantized, training.evaluations, training.left, training.harm)


def print_optimized(optimized: Optimized, console: Console | None = None) -> None:
    """Prints loss and metrics before and after, and what became of the weights; on standard output unless told else."""
    console, content = console or terminal(), optimized.to_dict()
    _print_evaluations(optimized.snapshot.evaluations, optimized.harm, optimized.snapshot.left, console)
    words = f"zeros: {content['sparsity']:.1%}; at most {content['max_distinct_weights']} different weights in a kernel"
    lost = [f"lost: {text}" for text in optimized.lost_gains]
    for line in (words, *lost, f"Written to {optimized.path}"):
        console.print(line, markup=False, soft_wrap=True)


def print_trained(trained: Trained, console: Console | None = None) -> None:
    """Prints loss and metrics before and after, and the file's report; on standard output unless told else."""
    console = console or terminal()
    _print_evaluations(trained.evaluations, trained.harm, trained.left, console)
    print_report(trained.quantized, console)


def _print_evaluations(
    evaluations: "Sequence[StageEvaluation]", harm: str | None, left: Mapping[str, str], console: Console
) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("examples", "metric"):
        table.add_column(heading, no_wrap=True)
    for heading in ("before", "after"):
        table.add_column(heading, justify="right", no_wrap=True)
    for evaluation in evaluations:
        for name, before in evaluation.before.items():
            table.add_row(evaluation.part, name, f"{before:.4g}", f"{evaluation.after[name]:.4g}")
    console.print(table)
    reasons = [f"left: {name}: {reason}" for name, reason in left.items()]
    for line in (*reasons, *([f"worse: {harm}"] if harm else [])):
        console.print(line, markup=False, soft_wrap=True)


def _configuration(technique: TechniqueName, options: Mapping[str, Any]) -> "TechniqueConfig":
    from slimline.core.optimization.clustering_config import ClusteringConfig
    from slimline.core.optimization.pruning_config import PruningConfig

    return PruningConfig(**options) if technique == "pruning" else ClusteringConfig(**options)


def _find_files(arguments: TrainArguments) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the files to train on and those to measure on, after checking what can be checked without TensorFlow."""
    if not arguments.model.exists():
        raise ModelError(f"nothing at {arguments.model}", "a model's folder or file", "check the path")
    require_new_folder(arguments.output)
    files, held = record_files(arguments.examples, "--examples"), record_files(arguments.held, "--held")
    both = sorted({str(Path(file).resolve()) for file in files} & {str(Path(file).resolve()) for file in held})
    if both:
        raise ConfigError(
            f"--held with {both[0]}, which --examples has too", "examples that are not trained on", "give others"
        )
    return files, held


@contextmanager
def _loaded() -> "Iterator[Watch]":
    """Shows on standard error what is done, and each epoch."""
    console = terminal(stderr=True)
    # What is written past it goes nowhere, so that this writes to a copy of standard error.
    with os.fdopen(os.dup(2), "w") as screen:
        console.file = screen
        with console.status("loading TensorFlow and training"), without_native_messages():
            from slimline.core.optimization.training import Watch

            yield Watch(report=lambda text: console.print(text, markup=False, soft_wrap=True))
