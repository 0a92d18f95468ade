import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx.orchestration.pipeline import Pipeline

from slimline.errors import PipelineError
from slimline.running.request import Request, check_name, load_pipeline
from slimline_pipelines import PIPELINES, Reference

REQUESTS = st.builds(
    Request, st.text(), st.text(), st.sampled_from([None, "local", "beam"]), output=st.text(), options=st.text()
)
CODE = """
from pathlib import Path
from tfx.orchestration.pipeline import Pipeline

def prepare(root):
    (root / "data").write_text("prepared")

def create_pipeline(root):
    return Pipeline("mine", pipeline_root=root, components=[])

def create_something_else(root):
    return root
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, from which Python may import for the time of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path


@given(REQUESTS)
def test_a_request_comes_back_from_its_one_line(request):
    assert Request.from_json(request.to_json()) == request
    assert "\n" not in request.to_json()


@pytest.mark.parametrize("name", ["digits", "package.module:function", "no.such:thing"])
def test_a_name_that_can_be_right_is_accepted(name):
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "module:",
        ":function",
        "module",
        "package.module.function",
        "digits.py",
        ".mine:create",
        "..mine:create",
    ],
)
def test_a_name_that_can_not_be_right_is_refused(name):
    with pytest.raises(PipelineError, match=r"one of digits, or package\.module:function"):
        check_name(name)
    with pytest.raises(PipelineError, match=r"one of digits, or package\.module:function"):
        load_pipeline(Request(name, "root"))


def test_a_misspelt_name_is_refused_with_the_near_miss():
    with pytest.raises(PipelineError, match="Did you mean 'digits'"):
        check_name("digit")


@pytest.mark.parametrize("reference", PIPELINES.values(), ids=PIPELINES)
def test_the_parts_of_every_reference_pipeline_have_the_form_of_a_name(reference):
    check_name(reference.create)
    check_name(reference.prepare)


def test_a_function_of_the_current_folder_makes_the_pipeline_for_the_root(folder):
    pipeline = load_pipeline(Request("mine:create_pipeline", "some/root", runner="local"))
    assert isinstance(pipeline, Pipeline)
    assert pipeline.pipeline_info.pipeline_root == "some/root"
    assert not (folder / "some").exists()


@pytest.mark.parametrize(("runner", "is_prepared"), [("local", True), ("beam", True), (None, False)])
def test_the_data_of_a_reference_pipeline_are_written_only_when_it_is_to_run(folder, monkeypatch, runner, is_prepared):
    monkeypatch.setitem(PIPELINES, "mine", Reference(create="mine:create_pipeline", prepare="mine:prepare"))
    assert load_pipeline(Request("mine", str(folder), runner=runner)).pipeline_info.pipeline_root == str(folder)
    assert (folder / "data").exists() == is_prepared


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mine:create_pipelin", "Did you mean 'create_pipeline'"),
        ("mine:Path.cwd", "no function 'Path.cwd' in mine"),
        ("mine:__name__", "no function '__name__' in mine"),
        ("mine:create_something_else", "mine:create_something_else returned str"),
        ("yours:create_pipeline", "no module 'yours', which yours:create_pipeline needs"),
        ("mine.inner:create_pipeline", "no module 'mine.inner'"),
        ("needy:create_pipeline", "no module 'not_installed', which needy:create_pipeline needs"),
    ],
)
def test_a_pipeline_that_can_not_be_made_is_refused(folder, name, hint):
    (folder / "needy.py").write_text("import not_installed\n")
    with pytest.raises(PipelineError) as refused:
        load_pipeline(Request(name, "root"))
    assert hint in str(refused.value)


def test_a_bug_in_a_pipeline_keeps_its_own_exception(folder):
    (folder / "buggy.py").write_text("def create_pipeline(root):\n    return [][0]\n")
    with pytest.raises(IndexError):
        load_pipeline(Request("buggy:create_pipeline", "root"))
