"""Which platforms are told before anything is installed; every answer can be had on any machine."""

import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ("Linux x86_64 3.11 glibc 2.36", ""),
        ("Linux x86_64 3.11 glibc 2.28", ""),
        ("Linux x86_64 3.11 glibc 2.17", "2.28"),
        ("Linux x86_64 3.12 glibc 2.36", "2.39"),
        ("Linux x86_64 3.13 glibc 2.41", ""),
        ("Linux x86_64 3.11 musl 0", "musl"),
        ("Linux aarch64 3.11 glibc 2.36", "aarch64"),
        ("Darwin arm64 3.11 musl 0", "3.12"),
        ("Darwin arm64 3.12 musl 0", ""),
        ("Windows AMD64 3.11 musl 0", "Windows"),
    ],
)
def test_a_platform_without_wheels_is_told(platform, words):
    script = f". {DEPLOY}/platform.sh; unsupported {platform}"
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert (words in shown) if words else not shown


def test_a_compiler_that_is_not_there_ends_it_before_anything_is_made(tmp_path):
    for name in ("make-env.sh", "platform.sh"):
        (tmp_path / "deploy").mkdir(exist_ok=True)
        (tmp_path / "deploy" / name).write_text((DEPLOY / name).read_text())
    ended = subprocess.run(
        ["sh", "deploy/make-env.sh"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "CXX": "no-such-compiler -O2"},
    )
    assert ended.returncode == 2
    assert "no-such-compiler" in ended.stderr or "Python" in ended.stderr
    assert not (tmp_path / ".venv").exists()
