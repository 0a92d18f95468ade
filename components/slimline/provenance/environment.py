"""Where and by whom a step was run, as far as that can be known, and from where it is known."""

import functools
import getpass
import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from slimline.provenance.manifest import make_manifest, manifest_of

# Whoever builds an image knows the commit that the container can't see.
COMMIT_VARIABLE = "SLIMLINE_SOURCE_COMMIT"
_PACKAGES = (
    *("slimline", "tfx", "tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert"),
    *("litert-quantizer", "apache-beam", "ml-metadata", "numpy"),
)
_GIT_S = 5


@functools.cache
def describe_environment() -> dict[str, Any]:
    """Returns versions, platform, digests of code and packages, actor, host and commit of this process."""
    return {
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages_digest": _packages_digest(),
        "code_digest": _code_digest(),
        "source": _source(Path.cwd()),
        "actor": _actor(),
        "host": platform.node(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _packages_digest() -> str:
    """Digests what is installed, as `name==version` lines in order of the names."""
    installed = {f"{found.name.lower()}=={found.version}\n" for found in metadata.distributions() if found.name}
    return "sha256:" + hashlib.sha256("".join(sorted(installed)).encode()).hexdigest()


def _code_digest() -> str:
    """Digests Slimline's own modules: TFX's cache does not see them, and a version may have been edited."""
    return code_digest(Path(__file__).parents[1])


def code_digest(root: Path) -> str:
    """Returns the digest of the Python modules below a folder."""
    return make_manifest(entry for entry in manifest_of(root).files if entry.path.endswith(".py")).digest


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user without a name.
        return f"uid {os.getuid()}"


def _source(folder: Path) -> dict[str, Any]:
    """Returns the commit of the checkout that a step was started in, and whether it was changed since."""
    given = os.environ.get(COMMIT_VARIABLE)
    if given:
        return {"commit": given, "from": COMMIT_VARIABLE}
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    return {"commit": commit, "is_dirty": bool(_git(folder, "status", "--porcelain")), "from": "git"}


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
