"""Runs benchmarks by name, keeps what they find, and compares it with what was found before."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from benchmarks import results
from benchmarks.board import Board
from benchmarks.documentation import write_documentation
from benchmarks.registry import BENCHMARKS, Benchmark

# Before TensorFlow is imported, here and in children: its messages would stand between the rows.
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", PYTHONWARNINGS="ignore::UserWarning")
_CELLS = Path("slimline-runs") / "benchmarks"


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    options = _parse()
    if options.list:
        for benchmark in BENCHMARKS.values():
            quick = ", has a quick form" if benchmark.has_quick_form else ""
            print(f"{benchmark.name:14} {benchmark.title} (about {benchmark.minutes:g} min{quick})")
        return 0
    chosen = [BENCHMARKS[name] for name in options.names or BENCHMARKS]
    skipped = [benchmark.name for benchmark in chosen if options.quick and not benchmark.has_quick_form]
    if skipped:
        print(f"no quick form, left out: {', '.join(skipped)}", flush=True)
    worse: list[str] = []
    for number, benchmark in enumerate(chosen, start=1):
        if benchmark.name in skipped:
            continue
        print(f"\n# {benchmark.name} ({number} of {len(chosen)}): {benchmark.title}", flush=True)
        worse += _run(benchmark, quick=options.quick, fresh=options.fresh, check=options.check)
    if not options.check:
        write_documentation()
    for line in worse:
        print(f"WORSE {line}", file=sys.stderr)
    return 1 if worse else 0


def _run(benchmark: Benchmark, *, quick: bool, fresh: bool, check: bool) -> list[str]:
    form = f"{benchmark.name}.quick" if quick else benchmark.name
    cells = _CELLS / form
    if fresh or check or quick:
        shutil.rmtree(cells, ignore_errors=True)
    board = Board(benchmark.name, cells, quick=quick)
    benchmark.load()(board)
    if check:
        return results.compare(form, board.ratios)
    results.write(form, board)
    return []


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all of them when left out")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--quick", action="store_true", help="the short forms, under three minutes in all")
    parser.add_argument("--fresh", action="store_true", help="compute anew what an earlier run has left")
    parser.add_argument(
        "--check", action="store_true", help="compare the ratios with the committed ones; exit code 1 beyond tolerance"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
