"""The picture and the page of the architecture say what is so."""

import re

import pytest

from docs import draw_map
from tests.slimline.test_readme import PROJECT

PAGE = (PROJECT / "docs" / "architecture.md").read_text()


def rows(heading):
    (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:2] == "| "][
        1:
    ]


@pytest.fixture(scope="module")
def imports():
    return draw_map.read_imports()


def test_the_picture_is_that_of_the_imports(imports):
    assert draw_map.PICTURE.read_text() == draw_map.draw(imports), "make it anew: python docs/draw_map.py"


def test_every_room_is_below_those_that_import_it(imports):
    height = {box: -number for number, row in enumerate(draw_map.levels(imports)) for box in row}
    assert {"cli", "components", "core.evaluation", "core.models"} <= set(imports)
    assert all(height[box] > height[other] for box, others in imports.items() for other in others)


def test_an_import_that_follows_from_others_is_not_drawn():
    chain = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}
    assert draw_map.reduce(chain) == {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset()}


def test_every_room_of_core_and_above_is_described(imports):
    described = " ".join(row[0] for row in rows("The rooms"))
    # A box of several rooms has a name of its own.
    rooms = {box for box in imports if re.fullmatch(r"[\w.]+", box)} - {"components", "core.inspection"}
    assert {box for box in rooms if box.replace(".", "/") not in described} == set()


def test_what_people_add_has_its_file_and_its_test():
    added = {row[0].removeprefix("a ") for row in rows("Where to add what")}
    wanted = {"metric", "target", "scheme", "backend", "model format", "command", "component", "recorded property"}
    assert wanted <= added
    for _, file, test in rows("Where to add what"):
        assert re.search(r"`(components|README)", file) or "__init__.pyi" in file
        assert "`tests/" in test


def test_every_use_case_is_where_the_page_says():
    for _, where, _ in rows("Use cases"):
        function, path = re.findall(r"`([\w./]+)`", where)
        assert f"def {function}(" in (PROJECT / path).read_text()
