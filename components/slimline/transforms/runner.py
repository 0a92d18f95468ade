"""Which Beam runner carries a pipeline out, and with which options."""

import argparse
import importlib
import io
from collections.abc import Sequence
from contextlib import redirect_stderr

from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.runners.runner import create_runner

from slimline.errors import ConfigError, near_miss
from slimline.transforms.beam_internals import option_names, option_parser

# Beam's DirectRunner first tries Prism, a binary that it downloads. This one is part of the package.
EMBEDDED = "FnApiRunner"
_DASK_MODULE = "apache_beam.runners.dask.dask_runner"


def pinned_arguments(arguments: Sequence[str]) -> list[str]:
    """Returns Beam's arguments with a runner that does not change by itself.

    Args:
      arguments: As a pipeline's `beam_pipeline_args`.

    Raises:
      ConfigError: An option or the runner is unknown: Beam itself passes over options that it does not know.
    """
    pinned = list(arguments)
    # TFX's container entry point hands on what it was called with, its own name first.
    if pinned and not pinned[0].startswith("-"):
        pinned = pinned[1:]
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--runner")
    parsed, others = _parse(parser, pinned)
    runner = parsed.runner
    if runner is None or runner.lower() in ("directrunner", "direct"):
        pinned = [*others, f"--runner={EMBEDDED}"]
        runner = EMBEDDED
    _require_runner(runner)
    _require_known_options(pinned)
    return pinned


def _require_runner(runner: str) -> None:
    known = StandardOptions.KNOWN_RUNNER_NAMES
    if "dask" in runner.lower():
        _require_dask()
    try:
        create_runner(runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError(
            f"--runner={runner}, which Beam can't load: {error}",
            "one of " + ", ".join(known) + ", or the dotted path of a runner's class",
            f"correct the name, or install what the runner needs.{near_miss(runner, known)}",
        ) from error


def _require_dask() -> None:
    # Its options are known to Beam only after its module is imported.
    try:
        importlib.import_module("dask.distributed")
    except ImportError as error:
        raise ConfigError("Beam's Dask runner without Dask", "the package dask", "install slimline[dask]") from error
    importlib.import_module(_DASK_MODULE)


def _require_known_options(arguments: Sequence[str]) -> None:
    parser = option_parser()
    _, unknown = _parse(parser, arguments)
    if unknown:
        known = option_names(parser)
        name = unknown[0].partition("=")[0]
        raise ConfigError(
            f"the Beam option {unknown[0]!r}",
            "an option that Beam or the runner knows",
            f"correct beam_pipeline_args.{near_miss(name, known)}",
        )


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns what a parser knows and what it does not; argparse would end the process on a bad value."""
    problems = io.StringIO()
    try:
        with redirect_stderr(problems):
            return parser.parse_known_args(arguments)
    except SystemExit:
        raise ConfigError(
            f"Beam options {' '.join(arguments)}: {problems.getvalue().strip().splitlines()[-1]}",
            "values that Beam takes",
            "correct beam_pipeline_args",
        ) from None
