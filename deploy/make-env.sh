#!/bin/sh
# Makes .venv from requirements.lock, beside the Makefile that calls this. Needs Python 3.11 to 3.13 with venv,
# and a C++ compiler (pyfarmhash, which TensorFlow Data Validation needs, is published as source only).
# PYTHON=/path/to/python chooses the interpreter.
set -eu

fail() {
    printf 'slimline: cannot make the environment: %s\n' "$1" >&2
    exit 2
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

find_python() {
    # 3.11 first: the only version whose locked wheels also run on systems with a glibc older than 2.39.
    for candidate in python3.11 python3 python3.12 python3.13; do
        if command -v "$candidate" >/dev/null 2>&1 && supported "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

python=${PYTHON:-$(find_python)}
if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo 'no python3')
    fail "found $found, expected Python 3.11, 3.12 or 3.13. Install python3.11, or set PYTHON=/path/to/python3.11."
fi
supported "$python" ||
    fail "PYTHON=$python is $("$python" --version 2>&1 || echo 'not runnable'), expected Python 3.11, 3.12 or 3.13."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv."
command -v "${CXX:-c++}" >/dev/null 2>&1 ||
    fail "found no C++ compiler (${CXX:-c++}). On Debian and Ubuntu: apt-get install g++."
"$python" -c 'import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists())' ||
    fail "$python has no C headers (Python.h). On Debian and Ubuntu: apt-get install python3-dev."

started=$(date +%s)
echo "Making .venv with $("$python" --version): about 260 packages, one to five minutes the first time ..."
if [ "$(.venv/bin/python --version 2>/dev/null)" != "$("$python" --version)" ]; then
    rm -rf .venv
    "$python" -m venv .venv
fi
uv_version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
UV_LINK_MODE=${UV_LINK_MODE:-copy} .venv/bin/uv pip sync --python .venv/bin/python --require-hashes requirements.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "Made .venv in $(($(date +%s) - started)) s."
