"""Places that somebody gives wrongly, and output that nobody takes: a sentence and exit code 2, never a traceback."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from slimline.core.atomic_write import staged_folder, write_file
from slimline.errors import PipelineError
from tests.small_models import small_model


def run(*arguments: object, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "slimline", *map(str, arguments)]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300, check=False)


def refused(ran: subprocess.CompletedProcess[str]) -> bool:
    return ran.returncode == 2 and "Found:" in ran.stderr and "Traceback" not in ran.stderr


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("places")
    os.mkfifo(folder / "pipe")
    (folder / "garbage").mkdir()
    (folder / "garbage" / "saved_model.pb").write_bytes(b"garbage")
    (folder / "text.keras").write_text("no model")
    return {
        "pipe": folder / "pipe",
        "device": Path("/dev/zero"),
        "garbage": folder / "garbage",
        "text": folder / "text.keras",
        "long": folder / ("x" * 300),
    }


@pytest.mark.parametrize("name", ["pipe", "device", "garbage", "text", "long"])
def test_what_is_no_model_is_refused(name, places):
    assert refused(run("inspect", places[name]))


@pytest.mark.parametrize("name", ["pipe", "device"])
def test_a_pipe_or_a_device_is_no_schema(name, places, tmp_path):
    small_model().save(tmp_path / "model.keras")
    ran = run(
        "quantize", tmp_path / "model.keras", "--scheme", "int8", "-o", tmp_path / "out",
        "--calibration", __file__, "--schema", places[name],
    )  # fmt: skip
    assert refused(ran), ran.stderr


def test_a_full_output_is_told():
    with Path("/dev/full").open("w") as full:
        ran = run("advise", "--target", "cpu", stdout=full.fileno())
    assert ran.returncode == 2
    assert "No space left" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("content", ['{"schema_version": 2}', "[]", "{", '{"schema_version": 2, "candidates": 3}'])
def test_a_broken_evaluation_is_refused_and_the_old_page_stays(content, tmp_path):
    (tmp_path / "evaluation.json").write_text(content)
    (tmp_path / "evaluation.html").write_text("the old page")
    assert refused(run("report", tmp_path))
    assert (tmp_path / "evaluation.html").read_text() == "the old page"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluation.html", "evaluation.json"]


def test_a_file_that_can_not_be_written_whole_leaves_the_old_one(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    script = (
        "import resource, signal, sys; from pathlib import Path; from slimline.core.atomic_write import write_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_file(Path(sys.argv[1]), b'x' * 5000)"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert "no space to write" in ran.stderr
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_two_writers_of_one_folder_never_mix_their_files(tmp_path):
    target, start, outcomes = tmp_path / "out", threading.Barrier(2), []

    def write(name: str) -> None:
        try:
            with staged_folder(target) as folder:
                start.wait()
                for part in ("a", "b"):
                    (folder / part).write_text(name)
                start.wait()
            outcomes.append(name)
        except PipelineError as error:
            outcomes.append(error.found)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(target / part).read_text() for part in ("a", "b")}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert json.dumps(outcomes)
