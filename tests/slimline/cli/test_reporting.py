import json
import os

import pytest

from slimline.cli.exit_codes import BAD_INPUT, OK
from slimline.cli.reporting import find_evaluation, write_report
from slimline.errors import LineageError
from tests.evaluations import candidate, evaluation
from tests.slimline.cli.test_app import slimline


def write(folder, name="int8", age=0):
    """Writes an evaluation that is some seconds old."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "evaluation.json"
    path.write_text(json.dumps(evaluation(candidate(name), chosen=name)))
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_a_page_is_written_beside_the_evaluation(tmp_path):
    source = write(tmp_path)
    for given in (source, tmp_path):
        assert write_report(given, None) == tmp_path / "evaluation.html"
        assert "int8 may ship" in (tmp_path / "evaluation.html").read_text()
        (tmp_path / "evaluation.html").unlink()


def test_a_page_is_written_where_it_is_wanted(tmp_path):
    write(tmp_path / "in")
    assert write_report(tmp_path / "in", tmp_path / "page.html") == tmp_path / "page.html"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["evaluation.json"]


def test_of_a_run_the_newest_evaluation_is_taken(tmp_path):
    write(tmp_path / "artifacts" / "EdgeValidator" / "evaluation" / "7", "old", age=100)
    newest = write(tmp_path / "artifacts" / "EdgeValidator" / "evaluation" / "12", "new")
    write(tmp_path / "artifacts" / "EdgeValidator" / "evaluation" / "9", "older", age=200)
    assert find_evaluation(tmp_path) == newest


def test_a_folder_s_own_evaluation_goes_before_those_below_it(tmp_path):
    own = write(tmp_path, age=100)
    write(tmp_path / "below")
    assert find_evaluation(tmp_path) == own


def test_where_there_is_none_it_says_so(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(LineageError, match=f"no evaluation.json at or below {place}"):
            find_evaluation(place)


@pytest.mark.parametrize("content", ["", "no JSON", "[]", "{}", "null", b"\xff\xfe\x00TFL3"])
def test_what_is_no_evaluation_is_refused(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LineageError, match="is no evaluation"):
        write_report(path, None)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_another_version_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps({**evaluation(), "schema_version": 1}))
    with pytest.raises(LineageError) as refused:
        write_report(tmp_path, None)
    assert "of version 1" in refused.value.found
    assert "validate again" in refused.value.remedy


def test_the_command_prints_the_page_s_path(tmp_path):
    write(tmp_path)
    done = slimline("report", "evaluation.json", "-o", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (OK, "page.html\n", "")
    assert (tmp_path / "page.html").exists()
    refused = slimline("report", "nowhere", cwd=tmp_path)
    assert refused.returncode == BAD_INPUT
    assert "no evaluation.json at or below nowhere" in refused.stderr
