"""Quantizes a model on this machine, without TFX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from slimline.cli.examples import examples_options, read_schema, record_files, require_new_folder
from slimline.cli.native_messages import without_native_messages
from slimline.cli.terminal import terminal
from slimline.errors import ConfigError, ModelError
from slimline.names import file_names

if TYPE_CHECKING:
    from slimline.core.quantization.report_types import QuantizationReport, Sizes
    from slimline.core.quantization.use_case import QuantizedModel


@dataclass(frozen=True)
class QuantizeArguments:
    """What the command line asks for.

    Attributes:
      model: Folder or file, as a Trainer exported it.
      output: Folder to write to, which must be new or empty.
      options: Of `QuantizationConfig`.
      calibration: Files or folders of TFRecords.
      schema: The records' schema; taken from the first record when there is none.
      label_key: Feature that is no input.
      input_features: Features for inputs of another name.
    """

    model: Path
    output: Path
    options: Mapping[str, Any]
    calibration: Sequence[Path] = ()
    schema: Path | None = None
    label_key: str | None = None
    input_features: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Quantized:
    """What came of it.

    Attributes:
      path: Of the file.
      report: What a person should know of it.
      lost_gains: Zeros and clusters that the model had and the file lost, in words.
    """

    path: Path
    report: "QuantizationReport"
    lost_gains: tuple[str, ...] = ()

    @property
    def misses_goal(self) -> bool:
        """Whether a goal was asked for and is not met."""
        return self.report.selective is not None and not self.report.selective.meets_goal

    def to_dict(self) -> dict[str, Any]:
        """Returns what `slimline quantize --json` prints: the report, with the path and what is lost."""
        return {"path": str(self.path), "lost_gains": list(self.lost_gains), **self.report.to_dict()}


def require_sense(scheme: str, target: str | None, *, has_goal: bool, keep: str | None) -> None:
    """Checks options that need one another, in the words of the command line.

    Raises:
      ConfigError: One is given without the other.
    """
    if scheme == "auto" and target is None:
        raise ConfigError("--scheme auto without --target", "where the model will run", "give --target")
    if scheme != "auto" and target is not None:
        raise ConfigError(
            f"--target with --scheme {scheme}", "--scheme auto, which decides by it", "leave --target out"
        )
    if keep is not None and not has_goal:
        raise ConfigError(
            f"--keep {keep} without a goal", "a goal that layers are kept for", "give --min-agreement or --min-sqnr-db"
        )


def quantize_path(arguments: QuantizeArguments) -> Quantized:
    """Converts a model, runs the file, and writes it with its report.

    Raises:
      SlimlineError: The model, the records or the options do not fit; then neither file nor report is written.
    """
    if not arguments.model.exists():
        raise ModelError(f"nothing at {arguments.model}", "a model's folder or file", "check the path")
    require_new_folder(arguments.output)
    has_records = bool(arguments.calibration)
    if not has_records and (arguments.schema is not None or arguments.label_key or arguments.input_features):
        raise ConfigError(
            "--schema, --label-key or --input-feature without --calibration",
            "records, which these are about",
            "give --calibration, or leave them out",
        )
    files = record_files(arguments.calibration, "--calibration")
    with terminal(stderr=True).status("loading TensorFlow, converting and running the file"), without_native_messages():
        from slimline.core.atomic_write import staged_folder

        quantized = _quantize(arguments, files)
        with staged_folder(arguments.output) as folder:
            quantized.write(folder)
    path = arguments.output / file_names.SERVING_FOLDER / file_names.TFLITE
    return Quantized(path, quantized.package.report, quantized.lost)


def _quantize(arguments: QuantizeArguments, files: tuple[str, ...]) -> "QuantizedModel":
    from slimline.core.examples.configuration import ExamplesConfig
    from slimline.core.quantization.configuration import QuantizationConfig
    from slimline.core.quantization.use_case import QuantizationRequest, quantize_model

    config = QuantizationConfig(**arguments.options)
    request = QuantizationRequest(
        model=arguments.model,
        config=config,
        calibration=files,
        schema=read_schema(arguments.schema, files) if files else None,
        data=ExamplesConfig(**examples_options(arguments.label_key, arguments.input_features)),
    )
    return quantize_model(request)


def print_report(quantized: Quantized, console: Console | None = None) -> None:
    """Prints sizes, closeness and findings of a quantized file; on standard output unless told else."""
    console, report = console or terminal(), quantized.report

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    for reason in report.advice.reasons if report.advice else ():
        say(f"{report.scheme}: {reason}")
    console.print(_sizes(report.sizes, report.scheme))
    for name, output in (report.smoke_run.outputs if report.smoke_run else {}).items():
        agreement = "" if output.agreement is None else f"agrees with the float model in {output.agreement:.1%}, "
        noise = "no noise at all" if output.sqnr_db is None else f"SQNR {output.sqnr_db:.1f} dB"
        say(f"output {name}: {agreement}{noise}")
    if report.selective is not None:
        say(_selection(report))
    for finding in report.findings:
        say(f"- {finding}")
    for lost in quantized.lost_gains:
        say(f"lost: {lost}")
    say(f"Written to {quantized.path}")


def _selection(report: "QuantizationReport") -> str:
    selective = report.selective
    assert selective is not None
    met = "met" if selective.meets_goal else "not met"
    layers = {layer.tensor: ", ".join(layer.layers) for layer in report.layers}
    kept = "; ".join(layers.get(name) or name for name in selective.kept)
    return f"goal {met} after {selective.num_conversions} conversions; " + (
        f"kept in {selective.precision}: {kept}" if kept else "nothing had to be kept"
    )


def _sizes(sizes: "Sizes", scheme: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("file", no_wrap=True)
    for heading in ("bytes", "gzip", "smaller", "gzip smaller"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("float32", f"{sizes.float_bytes:,}", f"{sizes.float_gzip_bytes:,}", "", "", style="dim")
    smaller = (f"{sizes.times_smaller:.2f}x", f"{sizes.times_smaller_gzip:.2f}x")
    table.add_row(scheme, f"{sizes.bytes:,}", f"{sizes.gzip_bytes:,}", *smaller)
    return table
