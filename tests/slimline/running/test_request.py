import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx.orchestration.pipeline import Pipeline

from slimline.errors import PipelineError
from slimline.running.pipelines import find_pipeline, installed_names
from slimline.running.request import Request, check_name, load_pipeline

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


def install(folder: Path, package: str, *, create: str, prepare: str = "") -> None:
    """Puts the record of an installed package into a folder on the path, as an installer writes it."""
    place = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    text = f"[slimline.pipelines]\nnamed = {create}\n"
    if prepare:
        text += f"\n[slimline.pipelines.data]\nnamed = {prepare}\n"
    (place / "entry_points.txt").write_text(text)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def test_a_package_of_ones_own_offers_a_pipeline_by_name(folder):
    install(folder, "my-pipelines", create="mine:create_pipeline")
    check_name("named")
    assert load_pipeline(Request("named", "some/root", runner="local")).pipeline_info.pipeline_name == "mine"
    assert installed_names() == ["digits", "named"]


def test_a_name_of_two_packages_is_refused_with_both(folder):
    install(folder, "my-pipelines", create="mine:create_pipeline")
    install(folder, "your-pipelines", create="yours:create_pipeline")
    with pytest.raises(PipelineError, match=r"my-pipelines.*your-pipelines"):
        check_name("named")


def test_a_name_that_leads_nowhere_is_refused(folder):
    install(folder, "my-pipelines", create="gone:create_pipeline")
    with pytest.raises(PipelineError, match="gone"):
        load_pipeline(Request("named", "root"))


def test_the_reference_pipelines_are_entry_points_of_the_package():
    named = find_pipeline("digits")
    assert named is not None
    assert named.distribution == "slimline"
    assert named.create == "slimline_pipelines.digits.pipeline:create_pipeline"


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


def test_a_function_of_the_current_folder_makes_the_pipeline_for_the_root(folder):
    pipeline = load_pipeline(Request("mine:create_pipeline", "some/root", runner="local"))
    assert isinstance(pipeline, Pipeline)
    assert pipeline.pipeline_info.pipeline_root == "some/root"
    assert not (folder / "some").exists()


@pytest.mark.parametrize(("runner", "is_prepared"), [("local", True), ("beam", True), (None, False)])
def test_the_data_of_a_named_pipeline_are_written_only_when_it_is_to_run(folder, runner, is_prepared):
    install(folder, "my-pipelines", create="mine:create_pipeline", prepare="mine:prepare")
    assert load_pipeline(Request("named", str(folder), runner=runner)).pipeline_info.pipeline_root == str(folder)
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
