import pytest

from slimline.cli.results import print_evaluation, print_outcome

WIDE, NARROW = "200", "80"


def candidate(name, verdict, reason, **figures):
    known = {"size_bytes": 12345, "gzip_bytes": 6789, "metrics": {"accuracy": 0.9375}, "drop": {"accuracy": 0.03125}}
    return {"name": name, "verdict": verdict, "reasons": [reason], "latency_ms": 0.25, **known, **figures}


PASSED = candidate("Quantizer.int8", "pass", "accuracy drop 0.03125, limit 0.05")
FAILED = candidate("Quantizer.int16x8", "fail", "accuracy drop 0.03125 is 0.02125 over the limit of 0.01")
UNREADABLE = candidate(
    "broken", "fail", "no file", size_bytes=None, gzip_bytes=None, metrics={}, drop={}, latency_ms=None
)


def outcome(candidates, chosen=None, pushed_to=None):
    baseline = {"size_bytes": 50000, "gzip_bytes": 40000, "metrics": {"accuracy": 0.96875}, "latency_ms": 0.5}
    return {
        "pipeline": "digits",
        "seconds": 12.4,
        "validated": True,
        "primary_metric": "accuracy",
        "num_examples": 360,
        "baseline": baseline,
        "candidates": candidates,
        "chosen": chosen,
        "pushed_to": pushed_to,
    }


@pytest.fixture
def show(capsys, monkeypatch):
    """Prints an outcome on a terminal of some width, and returns the lines."""

    def run(content, width=WIDE):
        monkeypatch.setenv("COLUMNS", width)
        print_outcome(content)
        return capsys.readouterr().out.splitlines()

    return run


def row(lines, name):
    """Returns the cells of a candidate's row in the first table: below the headline, the line that begins with it."""
    return next(line.split() for line in lines[1:] if line.strip().startswith(f"{name} "))


def test_the_chosen_is_marked_and_where_it_was_pushed_is_said(show):
    lines = show(outcome([FAILED, PASSED], "Quantizer.int8", "/models/17"))
    assert row(lines, "Quantizer.int8")[:7] == [
        "Quantizer.int8",
        "12,345",
        "6,789",
        "0.9375",
        "+0.0312",
        "0.250",
        "chosen",
    ]
    assert row(lines, "Quantizer.int16x8")[6] == "fail"
    assert row(lines, "float original") == ["float", "original", "50,000", "40,000", "0.9688", "0.500"]
    assert "Pushed Quantizer.int8 to /models/17" in lines
    assert "Where it came from: slimline lineage /models/17" in lines
    assert lines[-1] == "Done in 12 s."


def test_one_that_passed_but_was_not_chosen_is_marked_as_passed(show):
    lines = show(outcome([PASSED, candidate("other", "pass", "fine")], "other", "/models/17"))
    assert (row(lines, "Quantizer.int8")[6], row(lines, "other")[6]) == ("pass", "chosen")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_refusal_says_so_with_every_reason_in_full(show, width):
    lines = show(outcome([FAILED, UNREADABLE]), width)
    assert "Nothing was blessed, and nothing was pushed." in lines
    assert f"  Quantizer.int16x8: {FAILED['reasons'][0]}" in lines
    assert "  broken: no file" in lines
    assert not [line for line in lines if "Pushed" in line or "chosen" in line]


def test_a_blessed_model_that_was_not_pushed_is_said_to_be_so(show):
    lines = show(outcome([PASSED], "Quantizer.int8"))
    assert "Blessed Quantizer.int8. Nothing was pushed." in lines
    assert not [line for line in lines if "Pushed" in line or "lineage" in line]


def test_a_pipeline_without_a_validator_has_no_table(show):
    lines = show({"validated": False, "seconds": 3.7, "candidates": [], "chosen": None, "pushed_to": None})
    assert lines == ["Done in 4 s. The pipeline has no EdgeValidator."]


def test_figures_that_are_not_known_are_left_empty(show):
    assert row(show(outcome([UNREADABLE])), "broken") == ["broken", "fail", "no", "file"]


def test_the_table_says_on_how_many_examples_of_which_pipeline(show):
    assert "digits: all models on the same 360 examples" in [line.strip() for line in show(outcome([FAILED]))]


@pytest.mark.parametrize(("drop", "shown"), [(-0.25, "-0.2500"), (0.25, "+0.2500"), (0.0, "+0.0000")])
def test_gain_loss_and_neither_are_told_apart(show, drop, shown):
    content = outcome([candidate("any", "pass", "fine", drop={"accuracy": drop})], "any")
    assert row(show(content), "any")[4] == shown


def test_reasons_stand_in_the_table_where_there_is_room_and_else_below_it(show):
    content = outcome([PASSED, FAILED], "Quantizer.int8", "/models/17")
    below = f"  Quantizer.int16x8: {FAILED['reasons'][0]}"
    wide, narrow = show(content), show(content, NARROW)
    assert "over the limit" in " ".join(row(wide, "Quantizer.int16x8"))
    assert below not in wide
    assert below in narrow
    assert row(narrow, "Quantizer.int16x8")[6:] == ["fail"]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_brackets_in_names_and_paths_are_printed_as_they_are(show, width):
    odd = candidate("[red]odd", "pass", "[bold]why")
    lines = show(outcome([odd], "[red]odd", "/models/[1]/" + "long" * 40), width)
    assert row(lines, "[red]odd")[6] == "chosen"
    assert any("[bold]why" in line for line in lines)
    assert f"Pushed [red]odd to /models/[1]/{'long' * 40}" in lines


def test_what_came_closest_and_warnings_are_said(show):
    content = {**outcome([FAILED]), "nearest_miss": "Quantizer.int16x8", "warnings": ["[3] records are in both"]}
    lines = show(content, NARROW)
    assert "Closest: Quantizer.int16x8" in lines
    assert "Warning: [3] records are in both" in lines


def test_an_outcome_without_these_has_no_such_lines(show):
    assert not [line for line in show(outcome([FAILED])) if line.startswith(("Closest", "Warning"))]


def test_the_undecided_is_told_from_the_failed(show):
    undecided = candidate("open", "undecided", "about 900 more examples would decide")
    lines = show(outcome([FAILED, undecided]))
    assert (row(lines, "Quantizer.int16x8")[6], row(lines, "open")[6]) == ("fail", "undecided")
    assert "  open: about 900 more examples would decide" in lines


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_of_hundreds_of_reasons_four_are_printed_and_the_rest_is_counted(show, width):
    many = {**FAILED, "reasons": [f"reason {number}" for number in range(100)]}
    text = " ".join(show(outcome([many]), width))
    assert "reason 0; reason 1; reason 2; reason 3; and 96 more" in text
    assert "reason 4" not in text
    four = {**FAILED, "reasons": many["reasons"][:4]}
    assert "more" not in " ".join(show(outcome([four]), width))


def test_an_evaluation_has_its_own_title_and_nothing_of_a_run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", NARROW)
    print_evaluation({**outcome([PASSED], "Quantizer.int8"), "nearest_miss": None, "warnings": []}, "validate")
    lines = capsys.readouterr().out.splitlines()
    assert "validate: all models on the same 360 examples" in [line.strip() for line in lines]
    assert not [line for line in lines if "pushed" in line.lower() or "Done in" in line]


def missed(**more):
    known = {"subject": "accuracy drop", "slice": "digit=3", "limit": 0.01, "is_upper": True, "value": 0.0125}
    known |= {"lower": 0.001, "upper": 0.0456, "num_examples": 120, "outcome": "undecided", "more_examples": 900}
    return {**known, "text": "accuracy drop on digit=3 0.0125: undecided", "p_value": 0.31, "tends_to": "pass", **more}


def test_a_limit_that_is_not_kept_has_a_row_with_all_that_it_rests_on(show):
    kept = missed(outcome="pass", slice="digit=1")
    lines = show(outcome([candidate("open", "undecided", "why", verdicts=[kept, missed()], confidence=0.69)]))
    assert lines[0] == "Undecided: nothing ships. open: accuracy drop on digit=3 0.0125: undecided"
    (cells,) = [line.split() for line in lines if "0.0456" in line]
    known = ["open", "accuracy", "drop", "digit=3", "0.0125", "≤", "0.0456", "0.01", "120", "0.3100", "undecided"]
    assert cells == [*known, "900,", "to", "pass"]
    assert not [line for line in lines if "digit=1" in line]
    assert row(lines, "open")[6:8] == ["undecided", "69.0%"]


def test_slices_too_small_to_judge_are_listed(show):
    small = missed(outcome="not judged", slice="digit=7", num_examples=12)
    lines = show(outcome([candidate("good", "pass", "fine", verdicts=[small])], "good"))
    assert "Too few examples to be judged: digit=7 (12)." in lines


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_that_a_slice_or_file_is_called_reaches_the_terminal_raw(show, width):
    hostile = "\x1b[2J\x9b\r\x07evil\u202e"
    odd = candidate(hostile, "undecided", hostile, verdicts=[missed(slice=hostile, text=hostile, subject=hostile)])
    content = {**outcome([odd]), "nearest_miss": hostile, "warnings": [hostile]}
    for text in show(content, width):
        assert not set(text) & set("\x1b\x9b\r\x07\u202e")
