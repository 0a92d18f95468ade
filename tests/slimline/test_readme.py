"""What README and docs say is there, is there."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from tfx.components import ImportExampleGen, SchemaGen, StatisticsGen, Trainer
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2

import slimline
from slimline.cli import exit_codes
from slimline.cli.app import app
from slimline.core.evaluation.reports import CandidateReport
from slimline.core.schemes import SCHEMES

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "deploy").rglob("*.md")])


def all_commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every command with its name, those of groups as `kubeflow run-local`."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


COMMANDS = dict(all_commands(typer.main.get_group(app)))
# The first word of a path from the root of the repository, as prose writes it in backticks.
ROOTS = {path.name for path in PROJECT.iterdir() if path.name not in {".venv", "dist", "slimline-runs"}}


def section(heading: str) -> str:
    """Returns the README's text from a heading to the next heading."""
    (text,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL)
    return text


def anchors(page: Path) -> set[str]:
    """Returns the names under which a page's headings can be linked to."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[Path, str]]:
    """Yields every link that does not leave the repository, with its page."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if "://" not in target:
                yield page, unquote(target)


def paths() -> Iterator[tuple[Path, str]]:
    """Yields every path of the repository that prose gives in backticks, with its page."""
    for page in PAGES:
        for code in re.findall(r"`([\w./-]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
            if "/" in code and code.split("/")[0] in ROOTS:
                yield page, code


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (name, option)
        for name, command in COMMANDS.items()
        for parameter in command.params
        if parameter.param_type_name == "option"
        for option in parameter.opts
    ],
)
def test_every_option_stands_with_its_command(command, option):
    assert re.search(rf"`{re.escape(option)}[` ]", section(f"slimline {command}"))


def test_no_option_stands_there_that_does_not_exist():
    known = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for name in COMMANDS:
        written = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section(f"slimline {name}")))
        assert written <= known


def test_the_exit_codes_are_those_of_the_command_line():
    written = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)}
    assert written == {value for name, value in vars(exit_codes).items() if name.isupper()}


def test_every_field_of_a_candidate_is_described():
    described = set(re.findall(r"`(\w+)`", section("The JSON of demo and run")))
    assert {field.name for field in fields(CandidateReport)} <= described


def test_every_component_and_scheme_is_described():
    for name in dir(slimline):
        assert name in README or name in {"CalibrationDataset", "EdgeEvaluation"}
    schemes = re.findall(r"^\| `(\w+)` \|", section("Which hardware wants which scheme"), re.MULTILINE)
    assert tuple(schemes) == SCHEMES


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda value: getattr(value, "name", value))
def test_every_link_inside_the_repository_leads_somewhere(page, target):
    file, _, anchor = target.partition("#")
    linked = page.parent / file if file else page
    assert linked.exists()
    if anchor:
        assert anchor in anchors(linked)


@pytest.mark.parametrize(("page", "path"), sorted(set(paths())), ids=lambda value: getattr(value, "name", value))
def test_every_path_in_prose_exists(page, path):
    assert (PROJECT / path).exists(), page


def test_the_pages_and_the_picture_load_nothing_and_name_no_machine():
    picture = (PROJECT / "docs" / "images" / "demo.svg").read_text()
    assert set(re.findall(r"https?://[^\"]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in picture
    assert "slimline-runs/digits/serving/" in picture
    for text in (picture, *(page.read_text() for page in PAGES)):
        assert not re.search(r"(?<![\w.])/(root|home|work)/", text)


def test_the_lines_for_ones_own_pipeline_build_one(tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?)```", section("Add it to your own pipeline"), re.DOTALL)
    example_gen = ImportExampleGen(input_base=str(tmp_path))
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    schema_gen = SchemaGen(statistics=statistics_gen.outputs["statistics"])
    trainer = Trainer(
        run_fn="some.trainer.run_fn",
        examples=examples,
        schema=schema_gen.outputs["schema"],
        train_args=trainer_pb2.TrainArgs(),
        eval_args=trainer_pb2.EvalArgs(),
    )
    components = [example_gen, statistics_gen, schema_gen, trainer]
    names = {
        "trainer": trainer,
        "examples": examples,
        "schema": schema_gen.outputs["schema"],
        "components": components,
        "serving_dir": str(tmp_path / "serving"),
    }
    exec(snippet, names)
    pipeline = Pipeline(pipeline_name="own", pipeline_root=str(tmp_path), components=components)
    order = [component.id for component in pipeline.components]
    assert len(order) == 11
    chain = ["Trainer", "Pruner", "Clusterer", "Quantizer-int8", "EdgeValidator", "Pusher"]
    assert sorted(chain, key=order.index) == chain
