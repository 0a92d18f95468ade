"""The commands and their options."""

import json
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from slimline.cli.exit_codes import NOT_GOOD_ENOUGH, OK, UNDECIDED
from slimline.cli.extras import require
from slimline.cli.options import JsonOption
from slimline.cli.pairs import pairs, shapes
from slimline.core.schemes import BackendName, Data, EndType, Keep, OnLostGain, Priority, SchemeOrAuto, Target
from slimline.plain_text import plain
from slimline.running.request import Request, Runner, check_name

app = typer.Typer(
    name="slimline",
    help="Turns a trained model into an edge model that is proven to be good enough, or is not shipped.",
    epilog="Exit codes: 0 done, 1 crashed, 2 bad input, 3 not good enough, 4 undecided.",
    no_args_is_help=True,
    # Help drawn by rich costs a third of a second on every call.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)

_RUNS_FOLDER = Path("slimline-runs")

RootOption = Annotated[
    Path | None,
    typer.Option(help="Folder for data, artifacts, metadata and pushed models. [default: slimline-runs/NAME]"),
]


def _print_version(asked: bool) -> None:
    if asked:
        print(f"slimline {metadata.version('slimline')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What all commands share; the help is the application's own."""


@app.command()
def demo(root: RootOption = None, as_json: JsonOption = False) -> None:
    """Train, prune, cluster, quantize five ways, validate and push a model of handwritten digits."""
    _run("digits", "local", root, as_json)


@app.command()
def run(
    pipeline: Annotated[str, typer.Argument(help="A name, as digits, or package.module:function.")],
    runner: Annotated[Runner, typer.Option(help="TFX's local runner, or its Beam runner.")] = "local",
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a pipeline on this machine."""
    _run(pipeline, runner, root, as_json)


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(help="A model's folder or file, as a Trainer exported it.")],
    custom_objects: Annotated[str | None, typer.Option(help="Dotted path of a module with layers of your own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what pruning, clustering, training and quantization can do to a model, layer by layer."""
    from slimline.cli.inspecting import inspect_path

    inspect_path(model, custom_objects, as_json=as_json)


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(help="A model's folder or file, as a Trainer exported it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; new or empty.")],
    scheme: Annotated[SchemeOrAuto, typer.Option(help="What to convert into; auto decides by --target.")],
    calibration: Annotated[list[Path] | None, typer.Option(help="TFRecord file or folder; may be repeated.")] = None,
    schema: Annotated[Path | None, typer.Option(help="schema.pbtxt. [default: that of the first record]")] = None,
    label_key: Annotated[str | None, typer.Option(help="Feature that is the label.")] = None,
    input_feature: Annotated[
        list[str] | None, typer.Option(help="INPUT=FEATURE, for an input of another name; may be repeated.")
    ] = None,
    target: Annotated[Target | None, typer.Option(help="For auto: where the model will run.")] = None,
    priority: Annotated[Priority, typer.Option(help="For auto: what matters most.")] = "size",
    backend: Annotated[BackendName, typer.Option(help="TensorFlow's converter, or its successor.")] = "converter",
    input_type: Annotated[EndType | None, typer.Option(help="Of the file's inputs. [default: the scheme's]")] = None,
    output_type: Annotated[EndType | None, typer.Option(help="Of the file's outputs. [default: the scheme's]")] = None,
    static_batch: Annotated[bool, typer.Option("--static-batch", help="Fix the batch to 1.")] = False,
    input_shape: Annotated[
        list[str] | None, typer.Option(help="INPUT=SIZES, as image=224,224,3, where sizes are open; may be repeated.")
    ] = None,
    allow_select_ops: Annotated[
        bool, typer.Option("--allow-select-ops", help="Allow TensorFlow's own kernels.")
    ] = False,
    min_agreement: Annotated[
        float | None, typer.Option(help="Keep layers from int8 until this share of decisions is the float model's.")
    ] = None,
    min_sqnr_db: Annotated[float | None, typer.Option(help="The same, until outputs keep this ratio to noise.")] = None,
    keep: Annotated[Keep | None, typer.Option(help="Precision of layers kept from int8. [default: float32]")] = None,
    on_lost_gain: Annotated[
        OnLostGain, typer.Option(help="When zeros or clusters of the model are lost in the file: say so, or fail.")
    ] = "warn",
    custom_objects: Annotated[str | None, typer.Option(help="Dotted path of a module with layers of your own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a model to TFLite, run the file, and say what it keeps; no TFX is needed."""
    from slimline.cli.quantizing import QuantizeArguments, print_report, quantize_path, require_sense

    has_goal = min_agreement is not None or min_sqnr_db is not None
    require_sense(scheme, target, has_goal=has_goal, keep=keep)
    options: dict[str, Any] = {
        "scheme": scheme,
        "wishes": {"target": target, "priority": priority} if target else None,
        "backend": backend,
        "input_type": input_type,
        "output_type": output_type,
        "static_batch": static_batch,
        "input_shape": shapes(input_shape or [], "--input-shape"),
        "allow_select_ops": allow_select_ops,
        "on_lost_gain": on_lost_gain,
        "custom_objects": custom_objects,
    }
    if has_goal:
        goal = {"min_agreement": min_agreement, "min_sqnr_db": min_sqnr_db}
        options["selective"] = {**goal, "keep": keep or "float32"}
    features = pairs(input_feature or [], "--input-feature", "INPUT=FEATURE")
    arguments = QuantizeArguments(model, output, options, tuple(calibration or ()), schema, label_key, features)
    quantized = quantize_path(arguments)
    if as_json:
        print(json.dumps(quantized.to_dict(), indent=1))
    else:
        print_report(quantized)
    if quantized.misses_goal:
        raise typer.Exit(NOT_GOOD_ENOUGH)


@app.command()
def advise(
    target: Annotated[Target, typer.Option(help="Where the model will run.")],
    data: Annotated[Data, typer.Option(help="Examples that there are.")] = "unlabelled",
    priority: Annotated[Priority, typer.Option(help="What matters most.")] = "size",
    as_json: JsonOption = False,
) -> None:
    """Tell which scheme suits a device and the data that there is, and why; nothing is run."""
    from slimline.cli.advising import print_advice
    from slimline.core.quantization.advisor import Wishes

    print_advice(Wishes(target=target, priority=priority), data, as_json=as_json)


@app.command()
def validate(
    baseline: Annotated[Path, typer.Argument(help="The float original, as a Trainer exported it.")],
    candidates: Annotated[list[Path], typer.Argument(help=".tflite files, or folders that hold one.")],
    examples: Annotated[list[Path], typer.Option(help="TFRecord file or folder; may be repeated.")],
    training: Annotated[
        list[Path] | None,
        typer.Option(help="What the model was trained on: examples in both are told; may be repeated."),
    ] = None,
    label_key: Annotated[str | None, typer.Option(help="Feature of the label. [default: the input itself]")] = None,
    metric: Annotated[str | None, typer.Option(help="What is limited. [default: accuracy]")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Largest loss against the original, in its unit.")] = None,
    min_value: Annotated[float | None, typer.Option(help="Smallest value of the metric.")] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Level of the bounds that limits are judged by. [default: 0.95]")
    ] = None,
    slice_by: Annotated[list[str] | None, typer.Option(help="Feature to judge by value; may be repeated.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="Device that must run it; may be repeated.")] = None,
    task: Annotated[
        str | None, typer.Option(help="What the output decides, as binary_logits. [default: found from the model]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="JSON with the options of GateConfig, instead of the six above.")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="schema.pbtxt. [default: that of the first record]")] = None,
    input_feature: Annotated[
        list[str] | None, typer.Option(help="INPUT=FEATURE, for an input of another name; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for evaluation.json and .html; new or empty.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether files are good enough to ship, on examples and against limits; no TFX is needed."""
    from slimline.cli.results import print_evaluation
    from slimline.cli.validating import Limits, ValidateArguments, make_gate, validate_paths

    limits = Limits(metric, max_drop, min_value, confidence, tuple(slice_by or ()), tuple(target or ()), task)
    gate = make_gate(config, limits)
    features = pairs(input_feature or [], "--input-feature", "INPUT=FEATURE")
    arguments = ValidateArguments(
        baseline, candidates, examples, gate, label_key, schema, features, output, tuple(training or ())
    )
    evaluation = validate_paths(arguments)
    if as_json:
        print(json.dumps(evaluation, indent=1))
    else:
        print_evaluation(evaluation, "validate")
    codes = {"pass": OK, "fail": NOT_GOOD_ENOUGH, "undecided": UNDECIDED}
    raise typer.Exit(codes[evaluation["decision"]])


@app.command()
def report(
    path: Annotated[Path, typer.Argument(help="evaluation.json, its folder, or the root of a run.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML file to write. [default: beside]")] = None,
) -> None:
    """Write the page of an evaluation: one HTML file that needs no network."""
    from slimline.cli.reporting import write_report

    print(plain(str(write_report(path, output))))


def _run(pipeline: str, runner: Runner, root: Path | None, as_json: bool) -> None:
    from slimline.cli.progress import follow
    from slimline.cli.results import print_outcome

    check_name(pipeline)
    require("tfx", "ml_metadata")
    folder = (root or _RUNS_FOLDER / pipeline.replace(":", ".")).resolve()
    outcome = follow(Request(pipeline, str(folder), runner=runner), folder)
    if as_json:
        print(json.dumps(outcome, indent=1))
    else:
        print_outcome(outcome)
    if outcome["validated"] and outcome["chosen"] is None:
        is_undecided = any(candidate["verdict"] == "undecided" for candidate in outcome["candidates"])
        raise typer.Exit(UNDECIDED if is_undecided else NOT_GOOD_ENOUGH)


# Their options are many, and in files of their own.
from slimline.cli import audit_commands, kubeflow_commands, lineage_commands, training_commands  # noqa: E402

lineage_commands.register(app)
audit_commands.register(app)
kubeflow_commands.register(app)
training_commands.register(app)
