import re
from typing import Any
from xml.etree import ElementTree

import pytest

from slimline.report import figures
from slimline.report.figures import limits_by_slice
from tests.evaluations import candidate, evaluation, unreadable

SVG = "{http://www.w3.org/2000/svg}"
GREEN, RED, AMBER = "#1a7f37", "#b42318", "#b7791f"


def draw_trade_off(*arguments):
    """Of something that can be drawn; what can't is not drawn at all."""
    return figures.draw_trade_off(*arguments) or ""


def draw_slices(*arguments):
    return figures.draw_slices(*arguments) or ""


def texts(figure):
    return ["".join(element.itertext()) for element in ElementTree.fromstring(figure).iter(f"{SVG}text")]


def sliced(*names, **drop):
    drops = {"value": 0.9, "drop": 0.01, "lower": 0.0, "upper": 0.02, **drop}
    return candidate("int8", slices={name: {"accuracy": drops} for name in names})


def test_a_picture_is_one_element_that_fits_its_place():
    figure = draw_trade_off(evaluation(), "gzip_bytes", "bytes")
    root = ElementTree.fromstring(figure)
    assert root.tag == f"{SVG}svg"
    assert root.get("width") is root.get("height") is None
    assert root.get("viewBox")
    assert root.get("role") == "img"


def test_points_have_the_numbers_of_the_table_and_the_axes_their_names():
    far = candidate("far", "fail", gzip_bytes=90_000, metrics={"accuracy": 0.5})
    shown = texts(draw_trade_off(evaluation(candidate("near"), far), "gzip_bytes", "bytes after gzip"))
    assert {"1", "2", "accuracy", "bytes after gzip", "float original"} <= set(shown)


def test_points_that_lie_together_have_one_label():
    assert "1, 2" in texts(draw_trade_off(evaluation(candidate("one"), candidate("two")), "gzip_bytes", "bytes"))


@pytest.mark.parametrize(("outcome", "color"), [("pass", GREEN), ("fail", RED), ("undecided", AMBER)])
def test_the_color_is_the_verdict_and_filled_is_pareto(outcome, color):
    for is_pareto in (True, False):
        row = candidate("int8", outcome, is_pareto=is_pareto)
        figure = draw_trade_off(evaluation(row), "latency_ms", "ms")
        assert f"stroke: {color}" in figure
        assert (f"fill: {color}" in figure) == is_pareto


def test_candidates_without_the_figure_are_left_out_and_keep_the_numbers_right():
    shown = texts(draw_trade_off(evaluation(unreadable("broken"), candidate("good")), "gzip_bytes", "bytes"))
    assert "2" in shown
    assert "1" not in shown
    assert draw_trade_off(evaluation(unreadable("broken")), "gzip_bytes", "bytes") == ""


def test_a_baseline_without_the_metric_has_no_line():
    content = evaluation()
    content["baseline"]["metrics"] = {}
    assert "float original" not in texts(draw_trade_off(content, "gzip_bytes", "bytes"))


def test_slices_are_listed_overall_first():
    shown = texts(draw_slices(sliced("digit=1", "overall", "digit=0"), "accuracy", 0.02))
    assert [text for text in shown if text in ("overall", "digit=0", "digit=1")] == ["digit=1", "digit=0", "overall"]
    assert "drop of accuracy" in shown


def test_one_slice_or_an_unknown_metric_needs_no_picture():
    assert draw_slices(sliced("overall"), "accuracy", None) == ""
    assert draw_slices(sliced("overall", "digit=0"), "auc", None) == ""
    unknown = candidate("int8", slices={name: {"auc": {"unknown": "one class"}} for name in ("overall", "digit=0")})
    assert draw_slices(unknown, "auc", None) == ""


def test_a_drop_without_bounds_is_a_point():
    assert draw_slices(sliced("overall", "digit=0", lower=None, upper=None), "accuracy", None)


def test_the_limit_is_a_line_where_there_is_one():
    row = sliced("overall", "digit=0")
    assert RED in draw_slices(row, "accuracy", 0.02)
    assert RED not in draw_slices(row, "accuracy", None)


def test_forty_slices_are_drawn_of_many():
    figure = draw_slices(sliced("overall", *(f"user={number:03}" for number in range(100))), "accuracy", 0.02)
    shown = [text for text in texts(figure) if text == "overall" or text.startswith("user=")]
    assert len(shown) == 40
    assert shown[-1] == "overall"
    assert "user=038" in shown


HOSTILE = ["<script>alert(1)</script>", "a & b", "\"quoted\" 'twice'", "$x$", "3 $", "a\nb"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_as_they_are(name):
    shown = texts(draw_slices(sliced("overall", f"word={name}"), "accuracy", None))
    joined = "".join(shown)
    assert all(part in joined for part in f"word={name}".split("\n"))
    row = candidate("int8", metrics={name: 0.5})
    assert name.split("\n")[0] in "".join(
        texts(draw_trade_off(evaluation(row, primary_metric=name), "gzip_bytes", "bytes"))
    )


def test_a_long_name_is_cut():
    shown = texts(draw_slices(sliced("overall", "word=" + "x" * 100), "accuracy", None))
    (cut,) = [text for text in shown if text.startswith("word=")]
    assert len(cut) == 40
    assert cut.endswith("…")


def test_the_same_figures_give_the_same_picture():
    assert draw_trade_off(evaluation(), "gzip_bytes", "bytes") == draw_trade_off(evaluation(), "gzip_bytes", "bytes")
    row = sliced("overall", "digit=0")
    assert draw_slices(row, "accuracy", 0.02) == draw_slices(row, "accuracy", 0.02)


def test_nothing_is_loaded_from_anywhere():
    figure = draw_trade_off(evaluation(), "gzip_bytes", "bytes")
    assert not re.search(r'(?:href|src)="(?!#)', figure)
    assert not re.search(r"url\((?!#)", figure)


def test_the_largest_limit_of_a_metric_is_drawn():
    thresholds: list[dict[str, Any]] = [
        {"metric": "accuracy", "max_drop": 0.01},
        {"metric": "accuracy", "max_drop": 0.05},
        {"metric": "accuracy", "max_drop": None},
        {"metric": "auc", "max_drop": 0.5},
    ]
    assert limits_by_slice(thresholds, "accuracy") == 0.05
    assert limits_by_slice(thresholds, "f1") is None
