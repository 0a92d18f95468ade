#!/bin/sh
# Makes .venv from requirements.lock, beside the Makefile that calls this. Needs Python 3.11 to 3.13 with venv,
# and a C++ compiler (pyfarmhash, which TensorFlow Data Validation needs, is published as source only).
# PYTHON=/path/to/python chooses the interpreter; pip's setting of the index holds, as does UV_DEFAULT_INDEX.
set -eu
. deploy/platform.sh

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

# Prints what `unsupported` wants to know of this machine: system, machine, Python, C library and its version.
describe_platform() {
    "$1" -c 'import platform, sys
libc, version = platform.libc_ver()
print(platform.system(), platform.machine(), "%d.%d" % sys.version_info[:2], libc or "musl", version or "0")'
}

# A compiler may be several words, as "ccache g++": it is tried, not looked for.
# shellcheck disable=SC2086
compiles() {
    printf '%s\n' "$1" | ${CXX:-c++} -x c++ -fsyntax-only -I"$("$python" -c \
        'import sysconfig; print(sysconfig.get_path("include"))')" - 2>/dev/null
}

python=${PYTHON:-$(find_python)}
if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo 'no python3')
    fail "found $found, expected Python 3.11, 3.12 or 3.13. Install python3.11, or set PYTHON=/path/to/python3.11."
fi
supported "$python" ||
    fail "PYTHON=$python is $("$python" --version 2>&1 || echo 'not runnable'), expected Python 3.11, 3.12 or 3.13."
# shellcheck disable=SC2046
reason=$(unsupported $(describe_platform "$python"))
[ -z "$reason" ] || fail "$reason"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv."
compiles 'int main() {}' ||
    fail "found no C++ compiler that works (${CXX:-c++}). On Debian and Ubuntu: apt-get install g++."
compiles '#include <Python.h>' ||
    fail "$python has no C headers (Python.h). On Debian and Ubuntu: apt-get install python3-dev."

# pip refuses a virtual environment with the first, and installs elsewhere with the others.
export PIP_USER=0
unset PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME PYTHONPATH

# Only a whole environment has the mark, which holds the place it was made for. Whatever has none, was left by an
# interrupted installation, which uv does not mend; one that was made elsewhere runs what lies there.
started=$(date +%s)
here=$(pwd -P)
if [ "$(cat .venv/.made 2>/dev/null)" != "$here" ] ||
    [ "$(.venv/bin/python --version 2>/dev/null)" != "$("$python" --version)" ]; then
    rm -rf .venv
fi
rm -f .venv/.made
echo "Making .venv with $("$python" --version): about 320 packages, 7 GB with uv's cache, one to five minutes the first time ..."
[ -d .venv ] || "$python" -m venv .venv

uv_version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    # uv does not read pip's settings.
    index=${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
fi
UV_LINK_MODE=${UV_LINK_MODE:-copy} .venv/bin/uv pip sync --python .venv/bin/python --require-hashes \
    --build-constraints requirements.lock requirements.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
# Written beside and renamed: a mark is whole too.
printf '%s' "$here" >.venv/.made.new
mv .venv/.made.new .venv/.made
echo "Made .venv in $(($(date +%s) - started)) s."
