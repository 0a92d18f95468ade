"""How often the gate errs, and how often it can't tell.

Pairs of models are simulated whose true drop is known: it lies exactly at the limit, so that a pair must be blessed in
at most 5% of the runs at a confidence of 95%. A case that is above that by more than three standard errors of the
simulation is marked, and counted in the ratio. The picture of `docs/validation.md` is drawn from the same simulation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from scipy import stats

from benchmarks.board import Board, Column
from benchmarks.simulated import World, area_world, confusion_world, mean_world, share_world
from slimline.core.evaluation.statistics.areas import AreaStatistic
from slimline.core.evaluation.statistics.confusion import ConfusionStatistic
from slimline.core.evaluation.statistics.means import MeanStatistic, Range
from slimline.core.evaluation.statistics.selection import adjust
from slimline.core.evaluation.statistics.shares import ShareStatistic

matplotlib.use("svg")
from matplotlib import pyplot

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "power.svg"
LEVEL = 0.95
LIMIT = 0.01
DROPS = (-0.01, -0.005, 0.0, 0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.02)
# Label shares: two classes with few or many positives, and several classes.
PREVALENCES = ((0.99, 0.01), (0.9, 0.1), (0.5, 0.5), (0.5, 0.3, 0.15, 0.05), (0.1,) * 10)
DENSE = (np.linspace(-0.3, 0.5, 9), np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.15, 0.1, 0.05, 0.03]))
OUTLIERS = (np.array([0.0, 10.0]), np.array([0.999, 0.001]))


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
      name: What is simulated.
      num_examples: In each run.
      blessed: Share of the runs that are blessed.
      num_runs: How many there were.
    """

    name: str
    num_examples: int
    blessed: float
    num_runs: int

    @property
    def is_above(self) -> bool:
        """Whether that is more than chance explains at the level."""
        error = np.sqrt(LEVEL * (1 - LEVEL) / self.num_runs)
        return bool(self.blessed > 1 - LEVEL + 3 * error)


def at_the_limit(*, quick: bool) -> Iterator[Case]:
    """Gives every metric, with pairs whose true drop is exactly the limit."""
    sizes, runs = ((200, 2_000), 150) if quick else ((30, 100, 300, 1_000, 5_000), 600)
    for differing in (0.02, 0.1):
        world = share_world(ShareStatistic(), LIMIT, differing)
        for number in sizes:
            yield _case(world, world.name, LIMIT, number, runs * 5)
    for kind in ("recall", "precision", "f1"):
        for prevalence in PREVALENCES[1:4] if quick else PREVALENCES:
            for spread in (0.0, 1.0):
                world = confusion_world(ConfusionStatistic(kind), np.array(prevalence), spread, 0.02)
                shares = "/".join(f"{100 * share:g}" for share in sorted(prevalence)[:4])
                name = f"{kind}, classes of {shares}%, {'all' if spread else 'the rarest'} lose"
                for number in sizes:
                    yield _case(world, name, world.drop, number, runs)
    for share in (0.1, 0.5) if quick else (0.02, 0.1, 0.5):
        area = area_world(AreaStatistic(), share, LIMIT)
        for number in sizes:
            yield _case(area, f"AUC, {100 * share:g}% positives", area.drop, number, runs // 3)
    for name, (values, chances), limits in (
        ("errors of 10 on 0.1%, range 10", OUTLIERS, Range(0, 10)),
        ("dense differences, range 1", DENSE, Range(0, 1)),
        ("dense differences, no range", DENSE, None),
    ):
        mean = mean_world(MeanStatistic(range=limits), values, chances, limits)
        for number in sizes:
            yield _case(mean, name, mean.drop, number, runs)


def _case(world: World, name: str, limit: float, number: int, runs: int) -> Case:
    return Case(name, number, world.blessed(limit, number, runs, LEVEL), runs)


def of_several(*, quick: bool) -> Iterator[Case]:
    """Gives how often anything is blessed when every one of several candidates lies at the limit."""
    runs = 300 if quick else 2_000
    world = share_world(ShareStatistic(), LIMIT, 0.03)
    for num_candidates in (1, 4, 16):
        p_values = world.p_values(LIMIT, 2_000, runs * num_candidates, LEVEL, seed=1).reshape(runs, -1)
        blessed = [
            any(p <= 1 - LEVEL for p in adjust({str(n): float(p) for n, p in enumerate(row)}).values())
            for row in p_values
        ]
        yield Case(f"{num_candidates} independent candidate(s), all at the limit", 2_000, float(np.mean(blessed)), runs)


def exact_power(differing: float, num_examples: int, num_runs: int, seed: int = 0) -> tuple[float, float]:
    """Returns how often a pair without a drop is blessed by the gate, and by the exact unconditional comparison.

    The other one is the score test of Tango (1998), the usual test of paired shares, without any correction.
    """
    generator = np.random.default_rng(seed)
    half = differing / 2
    drawn = generator.multinomial(num_examples, [half, half, 1 - differing], size=num_runs)
    ours = share_world(ShareStatistic(), 0.0, differing).blessed(LIMIT, num_examples, num_runs, LEVEL, seed)
    theirs = [_tango(int(worse), int(better), num_examples) >= stats.norm.ppf(LEVEL) for worse, better, _ in drawn]
    return ours, float(np.mean(theirs))


def _tango(worse: int, better: int, number: int) -> float:
    linear = (2 * number - worse + better) * LIMIT - worse - better
    root = np.sqrt(max(0.0, linear**2 + 8 * number * better * LIMIT * (1 - LIMIT)))
    share = (root - linear) / (4 * number)
    variance = number * (2 * share + LIMIT * (1 - LIMIT))
    return float((number * LIMIT - worse + better) / np.sqrt(max(variance, 1e-300)))


def draw(path: Path) -> None:
    """Draws how often a pair is blessed against its true drop, for several numbers of examples."""
    style = {"svg.hashsalt": "slimline", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
        for number in (500, 1_000, 2_000, 5_000, 10_000):
            shares = [share_world(ShareStatistic(), drop, 0.03).blessed(LIMIT, number, 2_000) for drop in DROPS]
            axes.plot(
                [100 * drop for drop in DROPS], [100 * share for share in shares], "o-", label=f"{number:,} examples"
            )
        axes.axvline(100 * LIMIT, color="#b42318", linestyle="--", linewidth=1)
        axes.axhline(5, color="#57606a", linestyle=":", linewidth=1)
        axes.set(xlabel="true drop of accuracy, points (the limit is 1)", ylabel="blessed, % of 2,000 pairs")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def run(board: Board) -> None:
    """Writes a row per case, and draws the picture."""
    table = board.table(
        "The true drop at the limit",
        "case",
        Column("examples", ",.0f"),
        Column("blessed", ".1%"),
        Column("runs", ",.0f"),
        "above the level",
    )
    cases = []
    for case in (*at_the_limit(quick=board.quick), *of_several(quick=board.quick)):
        cases.append(case)
        table.row(case.name, case.num_examples, case.blessed, case.num_runs, "yes" if case.is_above else "")
    board.ratio("cases above the level by three standard errors", sum(case.is_above for case in cases), at_most=0)
    table = board.table(
        "Accuracy, no drop: how often it is blessed, beside the score test of Tango (1998), which errs at the limit",
        Column("differing", ".0%"),
        Column("examples", ",.0f"),
        Column("blessed", ".0%"),
        Column("score test", ".0%"),
    )
    for differing in (0.02, 0.06):
        for number in (500, 2_000) if board.quick else (500, 1_000, 2_000, 5_000):
            table.row(differing, number, *exact_power(differing, number, 1_000))
    if not board.quick:
        draw(PICTURE)
