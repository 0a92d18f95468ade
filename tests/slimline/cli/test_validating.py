import json

import pytest

from slimline.cli import validating
from slimline.cli.exit_codes import BAD_INPUT, NOT_GOOD_ENOUGH, OK, UNDECIDED
from slimline.cli.validating import Limits, ValidateArguments, make_gate, validate_paths
from slimline.errors import ConfigError, ExamplesError, ModelError
from tests.evaluations import candidate, evaluation
from tests.slimline.cli.test_app import slimline


@pytest.fixture
def decided(monkeypatch):
    """Lets a command decide as told, without running a model; keeps what it was asked."""
    tasks = []

    def decide(decision, **more):
        def run(task):
            tasks.append(task)
            verdict = "pass" if decision == "pass" else decision
            chosen = "int8" if decision == "pass" else None
            return {**evaluation(candidate("int8", verdict), chosen=chosen, **more), "decision": decision}

        monkeypatch.setattr(validating, "validate_paths", run)
        return tasks

    return decide


@pytest.fixture
def task(model_folder, candidate_folders, eval_split):
    """What to validate, with some of it changed."""

    def make(max_drop=0.1, **changes):
        gate = {"thresholds": [{"metric": "accuracy", "max_drop": max_drop}]}
        given = {
            "baseline": model_folder,
            "candidates": list(candidate_folders.values()),
            "examples": [eval_split],
            "gate": gate,
            "label_key": "digit",
            **changes,
        }
        return ValidateArguments(**given)

    return make


def test_good_files_pass_and_the_smallest_is_chosen(task, tmp_path):
    made = validate_paths(task(output=tmp_path / "out"))
    assert (made["decision"], made["chosen"], made["num_examples"]) == ("pass", "int8", 200)
    assert [(row["name"], row["scheme"]) for row in made["candidates"]] == [("float16", "float16"), ("int8", "int8")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["evaluation.html", "evaluation.json"]
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == json.loads(json.dumps(made))
    assert "int8 may ship" in (tmp_path / "out" / "evaluation.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("max_drop", "decision", "code"),
    [(0.1, "pass", OK), (-0.5, "fail", NOT_GOOD_ENOUGH), (0.0, "undecided", UNDECIDED)],
)
def test_the_exit_code_is_the_decision(
    max_drop, decision, code, call, model_folder, candidate_folders, eval_split, tmp_path
):
    arguments = ["--examples", eval_split, "--label-key", "digit", "--max-drop", max_drop, "--json"]
    done = call("validate", model_folder, candidate_folders["float16"], *arguments)
    assert done.exit_code == code
    made = json.loads(done.stdout)
    assert made["decision"] == decision
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_model_is_that_candidate_s_verdict(task, candidate_folders, tmp_path):
    (tmp_path / "broken.tflite").write_text("no model")
    (tmp_path / "empty").mkdir()
    listed = [tmp_path / "broken.tflite", tmp_path / "empty", candidate_folders["int8"] / "Format-Serving" / "tflite"]
    made = validate_paths(task(candidates=listed))
    broken, empty, int8 = made["candidates"]
    assert (broken["verdict"], empty["verdict"], int8["verdict"]) == ("fail", "fail", "pass")
    assert "is not a file that LiteRT can load" in broken["reasons"][0]
    assert "no file" in empty["reasons"][0]
    assert (int8["name"], int8["scheme"]) == ("int8/Format-Serving/tflite", "int8")
    assert made["chosen"] == "int8/Format-Serving/tflite"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"baseline": "none"}, ModelError, "nothing at "),
        ({"candidates": ["none"]}, ModelError, "nothing at "),
        ({"examples": ["none"]}, ExamplesError, "--examples .*none, where there is no file"),
        ({"label_key": "digitt"}, ExamplesError, "Did you mean 'digit'"),
        ({"input_features": {"image": "imag"}}, ExamplesError, "Did you mean 'image'"),
        ({"gate": {"thresholds": [{"metric": "acuracy", "max_drop": 0}]}}, ConfigError, "Did you mean 'accuracy'"),
        ({"gate": {"thresholds": [{"metric": "accuracy"}]}}, ConfigError, "at least one of max_drop"),
        ({"gate": {"thresholds": []}}, ConfigError, "thresholds"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(changes, error, message, task, tmp_path):
    if "baseline" in changes:
        changes = {"baseline": tmp_path / "none"}
    for name in ("candidates", "examples"):
        if name in changes:
            changes = {name: [tmp_path / "none"]}
    with pytest.raises(error, match=message):
        validate_paths(task(output=tmp_path / "out", **changes))
    assert not list(tmp_path.iterdir())


def test_slices_by_a_feature_that_is_not_there_are_refused_with_the_near_miss(task):
    gate = {"thresholds": [{"metric": "accuracy", "max_drop": 0.1}], "slices": [{"features": ["dgit"]}]}
    with pytest.raises(ExamplesError, match="Did you mean 'digit'"):
        validate_paths(task(gate=gate))


def test_a_folder_with_something_in_it_is_not_written_over(task, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="which is there already"):
        validate_paths(task(output=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_half_written_is_left_when_the_page_fails(task, tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no page")

    monkeypatch.setattr("slimline.report.page.write_page", fail)
    monkeypatch.setattr(validating, "_evaluate", lambda task, files: evaluation())
    with pytest.raises(RuntimeError, match="no page"):
        validate_paths(task(output=tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_examples_that_were_trained_on_are_told(task, eval_split, other_split):
    (known,) = validate_paths(task(training=[eval_split]))["warnings"]
    assert known.startswith("200 of 200 examples looked for are in --training ")
    assert validate_paths(task(training=[other_split]))["warnings"] == validate_paths(task())["warnings"]
    with pytest.raises(ExamplesError, match=r"--training .*none, where there is no file"):
        validate_paths(task(training=[eval_split / "none"]))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["run/a.tflite"], ["a.tflite"]),
        (["run/a/tflite", "run/b/tflite"], ["a/tflite", "b/tflite"]),
        (["a/x.tflite", "b/y.tflite"], ["x.tflite", "y.tflite"]),
        (["Quantizer/quantized_model/7/Format-Serving/tflite"], ["quantized_model/7/Format-Serving/tflite"]),
        (["Quantizer-int8/model/7", "Quantizer-float16/model/8"], ["model/7", "model/8"]),
        (["one/model/7", "two/model/7"], ["one/model/7", "two/model/7"]),
    ],
)
def test_candidates_are_named_by_what_tells_them_apart(paths, names, tmp_path):
    assert validating._names([tmp_path / path for path in paths]) == names


def test_the_same_candidate_twice_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="twice"):
        validating._names([tmp_path / "a", tmp_path / "b" / ".." / "a"])


def test_options_become_a_gate(decided, call):
    tasks = decided("pass")
    call(
        "validate", "model", "a", "b", "--examples", "x", "--examples", "y", "--label-key", "digit", "--max-drop",
        "0.01", "--min-value", "0.9", "--confidence", "0.9", "--slice-by", "digit", "--slice-by", "user",
        "--target", "micro", "--input-feature", "x=y",
    )  # fmt: skip
    (task,) = tasks
    assert [path.name for path in (*task.candidates, *task.examples)] == ["a", "b", "x", "y"]
    assert (task.label_key, task.input_features, task.output) == ("digit", {"x": "y"}, None)
    assert task.gate == {
        "thresholds": [{"metric": "accuracy", "max_drop": 0.01, "min_value": 0.9, "slice": "*"}],
        "confidence": 0.9,
        "slices": [{"features": ["digit"]}, {"features": ["user"]}],
        "targets": [{"target": "micro"}],
    }


def test_without_slices_the_limit_is_on_all_examples(decided, call):
    tasks = decided("pass")
    call("validate", "model", "a", "--examples", "x", "--max-drop", "0.01")
    assert tasks[0].gate["thresholds"][0]["slice"] == "overall"


def test_a_gate_can_be_given_as_a_file(decided, call, tmp_path):
    tasks = decided("pass")
    gate = {"thresholds": [{"metric": "auc", "min_value": 0.9}], "max_size_bytes": 1000}
    (tmp_path / "gate.json").write_text(json.dumps(gate))
    call("validate", "model", "a", "--examples", "x", "--config", tmp_path / "gate.json")
    assert tasks[0].gate == gate


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no file .*gate.json"), ("{", "gate.json: "), ("[1]", "holds a list"), ("null", "holds a NoneType")],
)
def test_a_file_that_holds_no_gate_is_refused(text, message, tmp_path):
    if text is not None:
        (tmp_path / "gate.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        make_gate(tmp_path / "gate.json", Limits())


@pytest.mark.parametrize(("decision", "code"), [("pass", OK), ("fail", NOT_GOOD_ENOUGH), ("undecided", UNDECIDED)])
def test_the_table_says_what_was_decided_and_what_came_closest(decision, code, decided, call):
    decided(decision, nearest_miss=None if decision == "pass" else "int8", warnings=["few examples"])
    done = call("validate", "model", "a", "--examples", "x", "--max-drop", "0.01")
    assert done.exit_code == code
    assert "validate: all models on the same 2000 examples" in done.stdout
    assert "Warning: few examples" in done.stdout
    assert ("Closest: int8" in done.stdout) == (decision != "pass")


@pytest.mark.slow
def test_the_command_prints_one_json_object_and_refuses_with_a_message(
    model_folder, candidate_folders, eval_split, tmp_path
):
    given = [str(model_folder), str(candidate_folders["int8"])]
    options = ["--examples", str(eval_split), "--max-drop", "0.1", "-o", str(tmp_path / "out")]
    done = slimline("validate", *given, *options, "--label-key", "digit", "--slice-by", "digit", "--json")
    made = json.loads(done.stdout)
    assert done.returncode == {"pass": OK, "fail": NOT_GOOD_ENOUGH, "undecided": UNDECIDED}[made["decision"]]
    assert len(made["slices"]) == 11
    assert (tmp_path / "out" / "evaluation.html").exists()
    again = slimline("validate", *given, *options, "--label-key", "digit")
    assert again.returncode == BAD_INPUT
    assert "which is there already" in again.stderr
    assert not again.stdout


def test_the_task_is_said_on_the_command_line():
    limits = validating.Limits(max_drop=0.05, task="binary_logits")
    assert validating.make_gate(None, limits)["task"] == "binary_logits"
