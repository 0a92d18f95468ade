"""The commands that train: `prune`, `cluster`, and `train` for quantization-aware training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from slimline.cli.exit_codes import NOT_GOOD_ENOUGH
from slimline.cli.pairs import pairs
from slimline.core.schemes import EndType, OnLostGain
from slimline.errors import ConfigError

if TYPE_CHECKING:
    from slimline.cli.training import Optimized, TechniqueName, TrainArguments

_Model = Annotated[Path, typer.Argument(help="A model's folder or file, as a Trainer or a technique wrote it.")]
_Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; new or empty.")]
_Examples = Annotated[list[Path], typer.Option(help="TFRecord file or folder to train on; may be repeated.")]
_Held = Annotated[list[Path] | None, typer.Option(help="The same, only measured on; may be repeated.")]
_Schema = Annotated[Path | None, typer.Option(help="schema.pbtxt. [default: that of the first record]")]
_LabelKey = Annotated[str | None, typer.Option(help="Feature of the label. [default: the input itself]")]
_InputFeature = Annotated[
    list[str] | None, typer.Option(help="INPUT=FEATURE, for an input of another name; may be repeated.")
]
_PreprocessingFn = Annotated[str | None, typer.Option(help="Dotted path of a function from features to inputs.")]
_Config = Annotated[
    Path | None, typer.Option(help="JSON file with options of the configuration; those given here go over it.")
]
_Epochs = Annotated[int | None, typer.Option(help="Passes over the examples. [default: 2]")]
_BatchSize = Annotated[int | None, typer.Option(help="Examples per step. [default: 32]")]
_LearningRate = Annotated[float | None, typer.Option(help="Of the optimizer. [default: 1e-4]")]
_Optimizer = Annotated[str | None, typer.Option(help="Keras optimizer. [default: the model's own]")]
_Loss = Annotated[str | None, typer.Option(help="Keras loss. [default: the model's own]")]
_Metric = Annotated[list[str] | None, typer.Option(help="Keras metric; may be repeated. [default: the model's own]")]
_MaxLossIncrease = Annotated[float | None, typer.Option(help="By how much the loss may rise; else the code is 3.")]
_OnHarm = Annotated[
    Literal["warn", "error"] | None, typer.Option(help="When it rose by more: write it all the same, or fail.")
]
_Seed = Annotated[int | None, typer.Option(help="Of shuffling and random values. [default: 0]")]
_TrainFn = Annotated[str | None, typer.Option(help="Dotted path of a function that replaces model.fit.")]
_OnLostGain = Annotated[
    OnLostGain | None, typer.Option(help="When earlier zeros or clusters are lost: say so, or fail.")
]
_CustomObjects = Annotated[str | None, typer.Option(help="Dotted path of a module with layers of your own.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command()(prune)
    app.command()(cluster)
    app.command()(train)


def prune(
    model: _Model,
    output: _Output,
    examples: _Examples,
    held: _Held = None,
    label_key: _LabelKey = None,
    schema: _Schema = None,
    input_feature: _InputFeature = None,
    preprocessing_fn: _PreprocessingFn = None,
    target_sparsity: Annotated[float | None, typer.Option(help="Share of zeros. [default: 0.5]")] = None,
    scope: Annotated[
        Literal["layer", "model"] | None, typer.Option(help="What reaches it: each layer, or the whole model.")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(help="LAYERS=SHARE, another target; may be repeated.")] = None,
    schedule: Annotated[
        Literal["polynomial", "constant"] | None, typer.Option(help="Zeros step by step, or at once.")
    ] = None,
    initial_sparsity: Annotated[float | None, typer.Option(help="Where the steps start. [default: 0]")] = None,
    ramp: Annotated[float | None, typer.Option(help="Share of the training with steps. [default: 0.75]")] = None,
    config: _Config = None,
    epochs: _Epochs = None,
    batch_size: _BatchSize = None,
    learning_rate: _LearningRate = None,
    optimizer: _Optimizer = None,
    loss: _Loss = None,
    metric: _Metric = None,
    max_loss_increase: _MaxLossIncrease = None,
    on_harm: _OnHarm = None,
    seed: _Seed = None,
    train_fn: _TrainFn = None,
    on_lost_gain: _OnLostGain = None,
    custom_objects: _CustomObjects = None,
    as_json: _Json = False,
) -> None:
    """Make the smallest weights of a model zero while training it, and say what that cost; no TFX is needed."""
    given = locals()
    own = _picked(given, "target_sparsity", "scope", "schedule", "initial_sparsity", "ramp")
    own["rules"] = _rules(rule, "target_sparsity", float, "LAYERS=SHARE")
    _optimize("pruning", _arguments(given, {**own, **_technique_options(given)}, "PruningConfig"), as_json)


def cluster(
    model: _Model,
    output: _Output,
    examples: _Examples,
    held: _Held = None,
    label_key: _LabelKey = None,
    schema: _Schema = None,
    input_feature: _InputFeature = None,
    preprocessing_fn: _PreprocessingFn = None,
    num_clusters: Annotated[int | None, typer.Option(help="Different values in a kernel. [default: 16]")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="LAYERS=NUMBER, or LAYERS=none; may be repeated.")] = None,
    centroid_initialization: Annotated[
        Literal["kmeans++", "density", "linear", "random"] | None,
        typer.Option(help="Where the values start. [default: kmeans++]"),
    ] = None,
    keep_zeros: Annotated[
        bool | None, typer.Option("--keep-zeros/--no-keep-zeros", help="Zeros stay zeros. [default: they do]")
    ] = None,
    config: _Config = None,
    epochs: _Epochs = None,
    batch_size: _BatchSize = None,
    learning_rate: _LearningRate = None,
    optimizer: _Optimizer = None,
    loss: _Loss = None,
    metric: _Metric = None,
    max_loss_increase: _MaxLossIncrease = None,
    on_harm: _OnHarm = None,
    seed: _Seed = None,
    train_fn: _TrainFn = None,
    on_lost_gain: _OnLostGain = None,
    custom_objects: _CustomObjects = None,
    as_json: _Json = False,
) -> None:
    """Leave each kernel of a model few different values while training it, and say what that cost; no TFX is needed."""
    given = locals()
    own = _picked(given, "num_clusters", "centroid_initialization", "keep_zeros")
    own["rules"] = _rules(rule, "num_clusters", lambda text: None if text == "none" else int(text), "LAYERS=NUMBER")
    _optimize("clustering", _arguments(given, {**own, **_technique_options(given)}, "ClusteringConfig"), as_json)


def train(
    model: _Model,
    output: _Output,
    examples: _Examples,
    held: _Held = None,
    calibration: Annotated[
        list[Path] | None, typer.Option(help="TFRecord file or folder, for layers that stay in float; may be repeated.")
    ] = None,
    label_key: _LabelKey = None,
    schema: _Schema = None,
    input_feature: _InputFeature = None,
    preprocessing_fn: _PreprocessingFn = None,
    collaboration: Annotated[
        Literal["auto", "plain", "pqat", "cqat", "pcqat"] | None, typer.Option(help="What earlier gains are kept.")
    ] = None,
    skip_layer: Annotated[list[str] | None, typer.Option(help="Pattern of layers to leave; may be repeated.")] = None,
    input_type: Annotated[EndType | None, typer.Option(help="Of the file's inputs. [default: int8]")] = None,
    output_type: Annotated[EndType | None, typer.Option(help="Of the file's outputs. [default: int8]")] = None,
    static_batch: Annotated[bool, typer.Option("--static-batch", help="Fix the batch to 1.")] = False,
    config: _Config = None,
    epochs: _Epochs = None,
    batch_size: _BatchSize = None,
    learning_rate: _LearningRate = None,
    optimizer: _Optimizer = None,
    loss: _Loss = None,
    metric: _Metric = None,
    max_loss_increase: _MaxLossIncrease = None,
    on_harm: _OnHarm = None,
    seed: _Seed = None,
    train_fn: _TrainFn = None,
    on_lost_gain: _OnLostGain = None,
    custom_objects: _CustomObjects = None,
    as_json: _Json = False,
) -> None:
    """Train a model with int8's rounding errors, convert it, and say what it keeps; no TFX is needed."""
    from slimline.cli.training import print_trained, train_path

    given = locals()
    options = {"collaboration": collaboration, "skip_layers": skip_layer, **_fine_tuning_options(given)}
    ends = _picked(given, "input_type", "output_type", "static_batch", "custom_objects")
    quantization = {**ends, "on_lost_gain": on_lost_gain or "warn"}
    trained = train_path(_arguments(given, options, "QatConfig"), quantization, tuple(calibration or ()))
    if as_json:
        print(json.dumps(trained.to_dict(), indent=1))
    else:
        print_trained(trained)
    if trained.harm is not None:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def _optimize(technique: "TechniqueName", arguments: "TrainArguments", as_json: bool) -> None:
    from slimline.cli.training import optimize_path, print_optimized

    optimized: Optimized = optimize_path(technique, arguments)
    if as_json:
        print(json.dumps(optimized.to_dict(), indent=1))
    else:
        print_optimized(optimized)
    if optimized.harm is not None:
        raise typer.Exit(NOT_GOOD_ENOUGH)


def _picked(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names}


def _fine_tuning_options(given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("epochs", "batch_size", "learning_rate", "optimizer", "loss", "max_loss_increase", "on_harm", "seed")
    return {**_picked(given, *names, "train_fn"), "metrics": given["metric"]}


def _technique_options(given: Mapping[str, Any]) -> dict[str, Any]:
    return {**_fine_tuning_options(given), **_picked(given, "on_lost_gain", "custom_objects")}


def _arguments(given: Mapping[str, Any], options: Mapping[str, Any], configuration: str) -> "TrainArguments":
    from slimline.cli.training import TrainArguments, merged_options

    return TrainArguments(
        model=given["model"],
        output=given["output"],
        examples=tuple(given["examples"]),
        options=merged_options(options, given["config"], configuration),
        held=tuple(given["held"] or ()),
        schema=given["schema"],
        label_key=given["label_key"],
        input_features=pairs(given["input_feature"] or [], "--input-feature", "INPUT=FEATURE"),
        preprocessing_fn=given["preprocessing_fn"],
    )


def _rules(listed: list[str] | None, field: str, read: Any, form: str) -> list[dict[str, Any]] | None:
    """Returns rules for layers, None when there are none.

    Raises:
      ConfigError: A value is no number.
    """
    rules = []
    for layers, text in pairs(listed or [], "--rule", form).items():
        try:
            rules.append({"layers": layers, field: read(text)})
        except ValueError:
            raise ConfigError(f"--rule {layers}={text}", form, "write a number after the equals sign") from None
    return rules or None
