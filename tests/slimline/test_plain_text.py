"""Nothing that somebody else supplied steers a terminal."""

import re
import unicodedata
from pathlib import Path

import pytest

import slimline.cli
from slimline.cli.terminal import terminal
from slimline.errors import ModelError
from slimline.plain_text import plain, plain_values

HOSTILE = ["\x1b[2J", "\x9b31m", "\r", "\x07", "\x00", "\u202e", "\ud800", "\u2028", "\x7f", "a\nb"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_steers_is_shown_as_its_escape(text):
    shown = plain(text)
    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape").encode("utf-8", "surrogatepass") == text.encode(
        "utf-8", "surrogatepass"
    )


@pytest.mark.parametrize("text", ["digit=3", "Größe 5 µm", "数字=三", "👩\u200d🔬", "a\u00a0b"])
def test_writing_of_people_stays(text):
    assert plain(text) == text


def test_values_are_made_plain_wherever_they_stand():
    assert plain_values({"\x1b": ["\x1b", 1, None, ("\x9b",)]}) == {"\\x1b": ["\\x1b", 1, None, ["\\x9b"]]}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_gets_no_control_character_out_of_a_text(text, capsys):
    terminal().print(f"name {text} end", markup=False, soft_wrap=True)
    written = capsys.readouterr().out
    assert not [one for one in written if unicodedata.category(one) in ("Cc", "Cs") and one not in "\n\t"]


def test_an_error_shows_names_as_plain_text():
    assert "\x1b" not in str(ModelError("layer \x1b[31m", "a\x9b", "b\r"))


def test_every_command_prints_through_the_one_console():
    folder = Path(slimline.cli.__file__).parent
    found = {
        path.name
        for path in folder.glob("*.py")
        if re.search(r"\bConsole\(\w*=|\bConsole\(\)|\(Console\)", path.read_text())
    }
    assert found == {"terminal.py"}
