import io
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from rich.console import Console

from slimline.cli import quantizing
from slimline.cli.exit_codes import BAD_INPUT, NOT_GOOD_ENOUGH, OK
from slimline.cli.quantizing import QuantizeArguments, Quantized, print_report, quantize_path
from slimline.core.models.saving import save_keras_model
from slimline.core.models.weights import count_kernels
from slimline.core.optimization.weight_history import FileSummary, WeightSnapshot, save_history
from slimline.core.quantization.advisor import Advice
from slimline.core.quantization.layer_report import LayerReport
from slimline.core.quantization.report_types import (
    Calibration,
    Goal,
    OutputReport,
    QuantizationReport,
    SelectionReport,
    Sizes,
    SmokeRun,
)
from slimline.core.tflite.provenance import Origin
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ExamplesError, ModelError
from tests.slimline.cli.test_app import slimline

SCORES = {"scores": OutputReport(0.9875, 31.25, 0.1)}


def report(**more):
    given = {
        "scheme": "int8",
        "training": None,
        "backend": "converter",
        "provenance": Origin("sha256:0", "sha256:1", None, None, {}),
        "advice": None,
        "sizes": Sizes(bytes=12_500, gzip_bytes=8_000, float_bytes=50_000, float_gzip_bytes=40_000),
        "weights": FileSummary(0.5, 16),
        "smoke_run": SmokeRun(10, "calibration", "LiteRT", SCORES),
        "calibration": Calibration(10, None),
        "selective": None,
        "layers": (),
        **more,
    }
    return Quantized(Path("out/Format-Serving/tflite"), QuantizationReport(**given))


def printed(content, width=100):
    stream = io.StringIO()
    print_report(content, Console(file=stream, width=width))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def selection(**more):
    given = {"goal": Goal(0.9, None), "precision": "float32", "meets_goal": True, "kept": (), "num_conversions": 3}
    return SelectionReport(**{**given, "attempts": (), **more})


def layer(tensor, *layers):
    unknown = {part.name: None for part in fields(LayerReport)}
    return LayerReport(**{**unknown, "tensor": tensor, "layers": layers})


@pytest.fixture
def scheme_only(monkeypatch):
    """Lets a command print a report without converting anything; keeps what it was asked."""
    tasks = []

    def quantized(**more):
        def run(task):
            tasks.append(task)
            return report(**more)

        monkeypatch.setattr(quantizing, "quantize_path", run)
        return tasks

    return quantized


def test_a_report_shows_sizes_closeness_and_the_path():
    lines = printed(report())
    rows = [line.split() for line in lines]
    assert ["float32", "50,000", "40,000"] in rows
    assert ["int8", "12,500", "8,000", "4.00x", "5.00x"] in rows
    assert "output scores: agrees with the float model in 98.8%, SQNR 31.2 dB" in lines
    assert lines[-1] == "Written to out/Format-Serving/tflite"


def test_what_does_not_apply_is_left_out():
    exact = SmokeRun(10, "calibration", "LiteRT", {"y": OutputReport(None, None, 0.0)})
    assert "output y: no noise at all" in printed(report(smoke_run=exact))
    assert not [line for line in printed(report(smoke_run=None)) if line.startswith("output")]


def test_advice_and_findings_stand_in_one_line_each_as_they_are():
    long = "because [bold]it[/] is " + "so " * 60 + "good"
    lines = printed(report(advice=Advice("int8", None, False, (long,), ()), findings=("[red]odd[/]",)), width=40)
    assert f"int8: {long}" in lines
    assert "- [red]odd[/]" in lines


def test_a_selection_names_the_layers_kept():
    kept = report(layers=(layer("t1", "conv", "relu"),), selective=selection(kept=("t1", "t2")))
    assert "goal met after 3 conversions; kept in float32: conv, relu; t2" in printed(kept)
    missed = report(selective=selection(meets_goal=False))
    assert "goal not met after 3 conversions; nothing had to be kept" in printed(missed)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("quantized")


@pytest.fixture(scope="module")
def made(root, model_folder, calibration_folder):
    arguments = QuantizeArguments(
        model_folder, root / "out", {"scheme": "int8"}, [calibration_folder], label_key="digit"
    )
    return quantize_path(arguments)


def test_a_model_is_converted_run_and_written(made, root):
    assert made.path == root / "out" / "Format-Serving" / "tflite"
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert files == [
        "out/Format-Serving/io_spec.json",
        "out/Format-Serving/tflite",
        "out/gains.json",
        "out/quantization_report.json",
    ]
    content = (root / "out" / "Format-Serving" / "tflite").read_bytes()
    assert list(TFLiteModel(content, "made").inputs) == ["image"]
    assert made.report.sizes.bytes == len(content)
    written = json.loads((root / "out" / "quantization_report.json").read_text())
    assert {"path": str(made.path), "lost_gains": [], **written} == made.to_dict()
    assert made.report.smoke_run.outputs["scores"].agreement >= 0.9


def test_the_same_records_as_a_file_give_the_same_file(made, root, model_folder, calibration_folder, tmp_path):
    records = [calibration_folder / "records.tfrecord.gz"]
    quantize_path(QuantizeArguments(model_folder, tmp_path / "out", {"scheme": "int8"}, records, label_key="digit"))
    name = "out/Format-Serving/tflite"
    assert (tmp_path / name).read_bytes() == (root / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "none"}, ModelError, "nothing at "),
        ({"calibration": "none"}, ExamplesError, "--calibration .*none, where there is no file"),
        ({"calibration": None}, ConfigError, "int8"),
        ({"input_features": {"image": "imge"}}, ExamplesError, "Did you mean 'image'"),
        ({"input_features": {"imge": "image"}}, ExamplesError, "imge"),
        ({"options": {"scheme": "int9"}}, ConfigError, "int9"),
        ({"options": {"scheme": "int8", "static_batches": True}}, ConfigError, "Did you mean 'static_batch'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    changes, error, message, model_folder, calibration_folder, tmp_path
):
    given = {"options": {"scheme": "int8"}, "calibration": calibration_folder, "model": model_folder, **changes}
    given["calibration"] = [tmp_path / given["calibration"]] if given["calibration"] else []
    given["model"] = tmp_path / given["model"]
    with pytest.raises(error, match=message):
        quantize_path(QuantizeArguments(output=tmp_path / "out", **given))
    assert not list(tmp_path.iterdir())


def test_nothing_half_written_is_left_when_writing_fails(model_folder, tmp_path, monkeypatch):
    from slimline.core.quantization.packaging import Package

    def write(self, folder):
        (folder / "half").touch()
        raise OSError("a bad disk")

    monkeypatch.setattr(Package, "write", write)
    with pytest.raises(OSError, match="a bad disk"):
        quantize_path(QuantizeArguments(model_folder, tmp_path / "out", {"scheme": "float16"}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["file", "full folder"])
def test_what_is_there_is_not_written_over(kind, model_folder, tmp_path):
    taken = tmp_path / "taken"
    if kind == "file":
        taken.write_text("mine")
    else:
        taken.mkdir()
        (taken / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="which is there already"):
        quantize_path(QuantizeArguments(model_folder, taken, {"scheme": "float16"}))
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]


def test_options_become_those_of_the_configuration(scheme_only, call):
    tasks = scheme_only()
    done = call(
        "quantize", "model", "-o", "out", "--scheme", "int8", "--calibration", "a", "--calibration", "b",
        "--label-key", "digit", "--input-feature", "x=y=z", "--static-batch", "--min-agreement", "0.99",
        "--keep", "int16", "--backend", "litert-quantizer", "--output-type", "float32",
    )  # fmt: skip
    assert done.exit_code == OK
    (task,) = tasks
    assert [path.name for path in task.calibration] == ["a", "b"]
    assert (task.label_key, task.input_features) == ("digit", {"x": "y=z"})
    assert task.options["selective"] == {"min_agreement": 0.99, "min_sqnr_db": None, "keep": "int16"}
    assert (task.options["static_batch"], task.options["output_type"]) == (True, "float32")
    assert task.options["wishes"] is None


def test_a_target_becomes_a_wish(scheme_only, call):
    tasks = scheme_only()
    call("quantize", "model", "-o", "out", "--scheme", "auto", "--target", "gpu", "--priority", "latency")
    assert tasks[0].options["wishes"] == {"target": "gpu", "priority": "latency"}


@pytest.fixture(scope="module")
def careless_folder(trained, tmp_path_factory):
    """A model that was pruned, as the file beside it tells, and trained on without regard for its zeros."""
    folder = tmp_path_factory.mktemp("careless")
    save_keras_model(trained, folder)
    before = [replace(count, num_zeros=count.num_weights // 2) for count in count_kernels(trained)]
    save_history(folder, [WeightSnapshot("pruning", tuple(before))], ())
    return folder


def test_zeros_that_the_file_has_no_more_are_told_or_leave_no_file(careless_folder, tmp_path):
    told = quantize_path(QuantizeArguments(careless_folder, tmp_path / "a", {"scheme": "dynamic_range"}))
    assert told.lost_gains
    assert "had 50.0% zeros after pruning, and has " in told.lost_gains[0]
    assert f"lost: {told.lost_gains[0]}" in printed(told)
    assert json.loads((tmp_path / "a" / "gains.json").read_text())["lost"] == list(told.lost_gains)
    strict = {"scheme": "dynamic_range", "on_lost_gain": "error"}
    with pytest.raises(ModelError, match=r"had 50\.0% zeros after pruning"):
        quantize_path(QuantizeArguments(careless_folder, tmp_path / "b", strict))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(("met", "code"), [(True, OK), (False, NOT_GOOD_ENOUGH)])
def test_a_goal_that_is_not_met_is_told_by_the_exit_code(met, code, scheme_only, call):
    scheme_only(selective=selection(meets_goal=met))
    done = call("quantize", "model", "-o", "out", "--scheme", "int8", "--min-agreement", "0.9", "--json")
    assert done.exit_code == code
    assert json.loads(done.stdout)["selective"]["meets_goal"] is met


def test_half_a_pair_is_refused_with_its_form(call):
    with pytest.raises(ConfigError) as refused:
        call("quantize", "model", "-o", "out", "--scheme", "int8", "--input-feature", "image")
    assert refused.value.found == "--input-feature 'image'"
    assert refused.value.expected == "INPUT=FEATURE"


@pytest.mark.slow
def test_the_command_prints_one_json_object(model_folder, calibration_folder, tmp_path):
    calibrated = ["--calibration", str(calibration_folder), "--label-key", "digit"]
    chosen = ["--scheme", "auto", "--target", "edgetpu"]
    done = slimline("quantize", str(model_folder), "-o", str(tmp_path / "out"), *chosen, *calibrated, "--json")
    assert done.returncode == OK, done.stderr
    made = json.loads(done.stdout)
    assert made["scheme"] == "int8"
    assert made["advice"]["static_batch"] is True
    assert (tmp_path / "out" / "Format-Serving" / "tflite").exists()
    again = slimline("quantize", str(model_folder), "-o", str(tmp_path / "out"), *chosen, *calibrated)
    assert again.returncode == BAD_INPUT
    assert "which is there already" in again.stderr
