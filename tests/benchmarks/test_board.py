"""The benchmarks' own bookkeeping; what they measure is not tested."""

import json
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.alternatives import count_lines
from benchmarks.board import Board, Column, Ratio
from benchmarks.documentation import render
from benchmarks.registry import BENCHMARKS


def test_a_broken_run_goes_on_where_it_stood(tmp_path):
    calls = []
    board = Board("any", tmp_path, quick=False)

    def compute():
        calls.append(1)
        return {"bytes": 3}

    assert board.cell("MobileNetV1 1.0, int8", compute) == {"bytes": 3}
    assert Board("any", tmp_path, quick=False).cell("MobileNetV1 1.0, int8", compute) == {"bytes": 3}
    assert board.cell("another", compute) == {"bytes": 3}
    assert len(calls) == 2


def test_a_cell_that_failed_leaves_nothing(tmp_path):
    board = Board("any", tmp_path, quick=False)
    with pytest.raises(ZeroDivisionError):
        board.cell("one", lambda: 1 / 0)
    assert board.cell("one", lambda: 5) == 5


def test_a_table_is_markdown(tmp_path, capsys):
    table = Board("any", tmp_path, quick=False).table("Bytes", "file", Column("bytes", ",.0f"))
    table.row("int8", 12_345)
    table.row("refused", None)
    shown = capsys.readouterr().out
    assert "| file | bytes |\n|---|---|\n| int8 | 12,345 |\n| refused | - |" in shown


@pytest.mark.parametrize(
    ("bound", "committed", "value", "worse"),
    [
        ("at most", 1.0, 1.09, False),
        ("at most", 1.0, 1.11, True),
        ("at most", 1.0, 0.2, False),
        ("at least", 1.0, 0.91, False),
        ("at least", 1.0, 0.89, True),
        ("at least", 1.0, 5.0, False),
    ],
)
def test_a_ratio_may_come_nearer_to_its_goal(bound, committed, value, worse):
    assert results.is_worse(Ratio("r", value, 1.0, bound, 0.1), committed) is worse


def test_a_ratio_without_a_goal_may_not_move_either_way():
    assert results.is_worse(Ratio("r", 2.0, None, "at least", 0.1), 1.0)
    assert results.is_worse(Ratio("r", 0.5, None, "at least", 0.1), 1.0)
    assert not results.is_worse(Ratio("r", 1.05, None, "at least", 0.1), 1.0)


def test_a_ratio_that_was_not_measured_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    board = Board("any", tmp_path / "cells", quick=False)
    board.ratio("bytes", 1.0, at_most=1.02)
    results.write("any", board)
    assert results.compare("any", board.ratios) == []
    assert "bytes" in results.compare("any", [])[0]
    assert "no committed result" in results.compare("other", [])[0]


def test_lines_of_code_leave_words_and_imports_out():
    def script(model: object) -> object:
        """Not counted."""
        import json

        # Not counted either.
        text = json.dumps(1)
        text += "!"
        return text

    assert count_lines(script) == 3


def test_every_benchmark_is_there_and_says_what_it_does():
    for benchmark in BENCHMARKS.values():
        module = Path(results.__file__).with_name(f"{benchmark.name}.py")
        assert "def run(board: Board)" in module.read_text()


def test_the_page_is_made_from_the_results():
    page = Path(__file__).parents[2] / "docs" / "benchmarks.md"
    assert page.read_text() == render(), "run python -m benchmarks.documentation"


def test_results_name_machine_and_versions():
    for path in results.FOLDER.glob("*.json"):
        content = json.loads(path.read_text())
        assert content["machine"]["cores"] >= 1
        assert content["versions"]["tensorflow"]
