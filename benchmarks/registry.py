"""The benchmarks there are: a new one is a module with `run(board)`, and a line here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.board import Board


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Attributes:
      name: On the command line; its module's too.
      title: What it answers.
      minutes: That it takes on two cores.
      has_quick_form: Whether it has a short form.
    """

    name: str
    title: str
    minutes: float
    has_quick_form: bool = False

    def load(self) -> Callable[[Board], None]:
        """Returns what runs it."""
        run: Callable[[Board], None] = importlib.import_module(f"benchmarks.{self.name}").run
        return run


_ALL = (
    Benchmark("networks", "What every technique makes of the guide's networks", 40, has_quick_form=True),
    Benchmark("activations", "What 8 bits break and 16 bits rescue", 6),
    Benchmark("accuracy", "What every technique costs in accuracy, on real data", 25),
    Benchmark("alternatives", "Against what a user would pick instead", 2, has_quick_form=True),
    Benchmark("compression", "How small the digits' network becomes", 2),
    Benchmark("collaborative", "Which training keeps what", 5),
    Benchmark("optimize_time", "What optimization costs beside TFMOT", 7),
    Benchmark("quantization", "What quantization costs beside the plain converter", 2),
    Benchmark("sampling", "What the calibration sample costs beside Beam's own", 5),
    Benchmark("evaluation", "What the evaluation costs beside a plain loop, and TFMA", 10),
    Benchmark("kubeflow", "What Kubeflow's rules cost, and whether they change what is pushed", 12),
    Benchmark("lineage", "How long an auditor waits", 2, has_quick_form=True),
    Benchmark("decisions", "How often the gate errs", 15),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}
