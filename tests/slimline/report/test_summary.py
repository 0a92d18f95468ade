import pytest

from slimline.report import summary
from tests.evaluations import candidate, evaluation, verdict


def undecided(**more):
    return {**verdict(slice_name="digit=3", outcome="undecided"), "more_examples": 900, "tends_to": "pass", **more}


def test_what_may_ship_is_said_with_its_confidence():
    content = evaluation(candidate("int8", confidence=0.9996), chosen="int8")
    assert summary.headline(content) == "int8 may ship: it keeps every limit with 99.9% confidence"
    assert summary.headline(evaluation(candidate("int8"), chosen="int8")) == "int8 may ship"


def test_confidence_is_never_rounded_up_to_what_was_asked_for():
    assert summary.confidence_text({"confidence": 0.94999}) == "94.9%"
    assert summary.confidence_text({"confidence": 0.95}) == "95.0%"
    assert summary.confidence_text({}) == ""


def test_the_first_words_are_the_reason():
    failed = candidate("a", "fail", verdicts=[verdict(outcome="pass"), verdict("latency", outcome="fail")])
    assert summary.headline(evaluation(failed)) == "Nothing may ship. a: latency on overall: fail"
    open_ = candidate("b", "undecided", verdicts=[undecided()])
    line = summary.headline(evaluation(failed, open_, nearest_miss="a"))
    assert line == "Undecided: nothing ships. b: accuracy drop on digit=3: undecided"


def test_a_broken_target_stands_before_what_more_examples_would_decide():
    row = candidate("a", "fail", verdicts=[undecided(), verdict("runs on micro", outcome="fail")])
    assert [one["outcome"] for one in summary.missed_limits(row)] == ["fail", "undecided"]
    assert summary.first_reason(row) == "runs on micro on overall: fail"


def test_a_candidate_without_limits_gives_its_reason():
    assert summary.first_reason(candidate("a", "fail", verdicts=[], reasons=["no file"])) == "no file"


@pytest.mark.parametrize(
    ("outcome", "is_upper", "shown"),
    [("undecided", True, "≤ 0.015"), ("fail", True, "≥ 0.001"), ("fail", False, "≤ 0.015"), ("pass", False, "≥ 0.001")],
)
def test_the_bound_is_that_which_the_outcome_rests_on(outcome, is_upper, shown):
    assert summary.bound_text({**verdict(outcome=outcome), "is_upper": is_upper, "lower": 0.001}) == shown


def test_how_many_examples_would_decide_is_said_with_the_way():
    assert summary.needed_text(undecided()) == "900, to pass"
    assert summary.needed_text(verdict()) == ""


def test_small_slices_are_listed_once():
    small = {**verdict(slice_name="digit=7", outcome="not judged"), "num_examples": 12}
    rows = [candidate("a", verdicts=[small]), candidate("b", verdicts=[small])]
    assert summary.small_slices_text(rows) == "Too few examples to be judged: digit=7 (12)."
    assert summary.small_slices_text([]) == ""


def test_the_lines_have_every_candidate_its_reasons_and_warnings():
    content = evaluation(
        candidate("good", confidence=0.99),
        candidate("open", "undecided", verdicts=[undecided()] * 20),
        candidate("broken", "fail", verdicts=[], reasons=["it hung"]),
        warnings=["copies"],
    )
    lines = summary.summary_lines(content)
    assert lines[1] == "good: pass, confidence 99.0%"
    assert "  and 8 more in evaluation.json" in lines
    assert lines[-2:] == ["Too few examples to be judged: digit=0 (200).", "Warning: copies"]
    assert "  it hung" in lines
