"""Which extra of the package brings what a command imports, said when it is not installed."""

from importlib.util import find_spec

from slimline.errors import PipelineError

# What is imported, and the extra of `pyproject.toml` that brings it.
_EXTRAS = {
    "tfx": "tfx",
    "apache_beam": "tfx",
    "ml_metadata": "lineage",
    "kfp": "kubeflow",
    "kfp_server_api": "kubeflow",
    "cel": "kubeflow",
    "sklearn": "pipelines",
    "litert_quantizer": "litert-quantizer",
    "tflite_micro": "micro",
    "ethosu": "ethos-u",
}


def require(*modules: str) -> None:
    """Checks that packages are installed before a process is started that would die of it.

    Raises:
      PipelineError: One is not.
    """
    for module in modules:
        if find_spec(module) is None:
            raise missing(module)


def is_known(module: str) -> bool:
    """Whether a module is that of an extra."""
    return module.partition(".")[0] in _EXTRAS


def missing(module: str) -> PipelineError:
    """Explains that a package is not installed."""
    package = module.partition(".")[0]
    extra = _EXTRAS[package]
    return PipelineError(
        f"no package {package}",
        f"the extra {extra!r} of slimline, which brings it",
        f'install it: pip install "slimline[{extra}]"',
    )
