"""Quantizes a model on this machine, without TFX."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from slimline.cli.examples import read_schema, record_files, require_new_folder
from slimline.cli.native_messages import without_native_messages
from slimline.errors import ConfigError, ModelError
from slimline.names import file_names

if TYPE_CHECKING:
    from slimline.core.models.loading import TrainedModel
    from slimline.core.quantization.backends.base import Representative
    from slimline.core.quantization.packaging import Package


@dataclass(frozen=True)
class Task:
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


def quantize_path(task: Task) -> dict[str, Any]:
    """Converts a model, runs the file, and writes it with its report.

    Returns:
      The report, with `path` of the file.

    Raises:
      SlimlineError: The model, the records or the options do not fit; nothing is written then.
    """
    if not task.model.exists():
        raise ModelError(f"nothing at {task.model}", "a model's folder or file", "check the path")
    require_new_folder(task.output)
    if not task.calibration and (task.schema is not None or task.label_key or task.input_features):
        raise ConfigError(
            "--schema, --label-key or --input-feature without --calibration",
            "records, which these are about",
            "give --calibration, or leave them out",
        )
    files = record_files(task.calibration, "--calibration")
    with Console(stderr=True).status("loading TensorFlow, converting and running the file"), without_native_messages():
        from slimline.core.atomic_write import staged_folder

        packed = _make(task, files)
        with staged_folder(task.output) as folder:
            packed.write(folder)
    return {"path": str(task.output / file_names.SERVING_FOLDER / file_names.TFLITE), **packed.report}


def _make(task: Task, files: tuple[str, ...]) -> "Package":
    from slimline.core.digest import model_digest
    from slimline.core.examples.configuration import ExamplesConfig
    from slimline.core.examples.records import files_digest
    from slimline.core.models.loading import load_model
    from slimline.core.quantization.configuration import QuantizationConfig, resolve_scheme
    from slimline.core.quantization.packaging import find_input_origins, package
    from slimline.core.quantization.production import produce
    from slimline.core.tflite.provenance import describe_origin

    config, advice = resolve_scheme(QuantizationConfig(**task.options), has_calibration=bool(files), has_examples=False)
    model = load_model(task.model, config.custom_objects)
    # No label is read: a model without one is said to have its input for it.
    label: dict[str, Any] = {"label_key": task.label_key} if task.label_key else {"label_is_input": True}
    data = ExamplesConfig(**label, input_features=dict(task.input_features))
    schema = read_schema(task.schema, files) if files else None
    representative = _representative(files, schema, model, data) if files else None
    origin = describe_origin(
        source_digest=model_digest(task.model),
        config=config.to_json(),
        backend=config.backend,
        calibration_digest=files_digest(files) if files else None,
        training_digest=None,
    )
    product = produce(model, config, representative)
    inputs = find_input_origins(model, schema, data)
    return package(model, config, product, representative, inputs=inputs, origin=origin, advice=advice)


def _representative(files: tuple[str, ...], schema: Any, model: "TrainedModel", data: Any) -> "Representative":
    from slimline.core.examples.batches import representative_inputs
    from slimline.core.examples.records import check_records

    records = check_records(files)

    def read() -> Iterator[dict[str, Any]]:
        return representative_inputs(records, schema, model, data)

    next(read())
    return read


def print_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints sizes, closeness and findings of a quantized file; on standard output unless told else."""
    console = console or Console(highlight=False)
    for reason in (report["advice"] or {"reasons": ()})["reasons"]:
        console.print(f"{report['scheme']}: {reason}", markup=False, soft_wrap=True)
    console.print(_sizes(report["sizes"], report["scheme"]))
    for name, output in (report["trial"] or {"outputs": {}})["outputs"].items():
        agreement = "" if output["agreement"] is None else f"agrees with the float model in {output['agreement']:.1%}, "
        noise = "no noise at all" if output["sqnr_db"] is None else f"SQNR {output['sqnr_db']:.1f} dB"
        console.print(f"output {name}: {agreement}{noise}", markup=False, soft_wrap=True)
    if report["selective"] is not None:
        _print_selection(report, console)
    for finding in report["findings"]:
        console.print(f"- {finding}", markup=False, soft_wrap=True)
    console.print(f"Written to {report['path']}", markup=False, soft_wrap=True)


def _print_selection(report: Mapping[str, Any], console: Console) -> None:
    selective = report["selective"]
    met = "met" if selective["meets_goal"] else "not met"
    layers = {layer["tensor"]: ", ".join(layer["layers"]) for layer in report["layers"]}
    kept = "; ".join(layers.get(name) or name for name in selective["kept"])
    console.print(
        f"goal {met} after {selective['num_conversions']} conversions; "
        + (f"kept in {selective['precision']}: {kept}" if kept else "nothing had to be kept"),
        markup=False,
        soft_wrap=True,
    )


def _sizes(sizes: Mapping[str, Any], scheme: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("file", no_wrap=True)
    for heading in ("bytes", "gzip", "smaller", "gzip smaller"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("float32", f"{sizes['float_bytes']:,}", f"{sizes['float_gzip_bytes']:,}", "", "", style="dim")
    smaller = (f"{sizes['times_smaller']:.2f}x", f"{sizes['times_smaller_gzip']:.2f}x")
    table.add_row(scheme, f"{sizes['bytes']:,}", f"{sizes['gzip_bytes']:,}", *smaller)
    return table
