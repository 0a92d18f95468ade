"""What executors that run Beam share."""

from collections.abc import Iterator
from contextlib import contextmanager

import apache_beam as beam
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from typing_extensions import override

from slimline.transforms.runner import pinned_arguments


class PinnedBeamExecutor(BaseBeamExecutor):
    """An executor whose runner does not change by itself, and that refuses options which Beam does not know."""

    @override
    def _make_beam_pipeline(self) -> beam.Pipeline:
        if self._make_beam_pipeline_fn is not None:
            return super()._make_beam_pipeline()
        return beam.Pipeline(argv=pinned_arguments(self._beam_pipeline_args))


@contextmanager
def scratch_folder(uri: str) -> Iterator[str]:
    """Gives a folder below an output, since workers on other machines write to it, and removes it at the end."""
    folder = f"{uri.rstrip('/')}/partial"
    try:
        yield folder
    finally:
        if fileio.exists(folder):
            fileio.rmtree(folder)
