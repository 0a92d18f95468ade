import contextlib
import io

from rich.table import Table

from slimline.cli.terminal import terminal

CELLS = [f"a_long_value_{number:06d}" for number in range(20)]


def piped() -> str:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        table = Table()
        for number in range(len(CELLS)):
            table.add_column(str(number), no_wrap=True)
        table.add_row(*CELLS)
        terminal().print(table)
    return stream.getvalue()


def test_a_pipe_gets_every_cell_whole(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert all(cell in piped() for cell in CELLS)
    assert max(map(len, piped().splitlines())) < 1000


def test_a_width_that_was_asked_for_is_kept(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, piped().splitlines())) <= 60
