"""How often the gate errs, and how often it can't tell: simulated pairs of models with a known true drop.

Run: `python -m benchmarks.decisions [docs/images/power.svg]`. Each pair answers the same examples; what is known is the
share of examples that only one of them gets right. A pair whose true drop is just at the limit must be blessed in at
most 5% of the cases at a confidence of 95%.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from slimline.core.evaluation.intervals import paired_share_drop

matplotlib.use("svg")
from matplotlib import pyplot

LEVEL = 0.95
LIMIT = 0.01
NUM_PAIRS = 10_000
# Share of examples on which the two models differ.
DISCORDANT = (0.02, 0.03, 0.06)
NUM_EXAMPLES = (500, 1_000, 2_000, 5_000, 10_000)
DROPS = (-0.01, -0.005, 0.0, 0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.02)


def blessed_share(true_drop: float, discordant: float, num_examples: int, seed: int = 0) -> float:
    """Returns the share of simulated pairs that the gate blesses."""
    worse, better = (discordant + true_drop) / 2, (discordant - true_drop) / 2
    drawn = np.random.default_rng(seed).multinomial(num_examples, [worse, better, 1 - worse - better], size=NUM_PAIRS)
    uppers = {
        (worse, better): paired_share_drop(worse, better, num_examples, LEVEL).upper
        for worse, better in {(int(row[0]), int(row[1])) for row in drawn}
    }
    return float(np.mean([uppers[int(row[0]), int(row[1])] <= LIMIT for row in drawn]))


def draw(path: Path) -> None:
    """Draws how often a pair is blessed against its true drop, for several numbers of examples."""
    style = {"svg.hashsalt": "slimline", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
        for number in NUM_EXAMPLES:
            shares = [blessed_share(drop, 0.03, number) for drop in DROPS]
            axes.plot(
                [100 * drop for drop in DROPS], [100 * share for share in shares], "o-", label=f"{number:,} examples"
            )
        axes.axvline(100 * LIMIT, color="#b42318", linestyle="--", linewidth=1)
        axes.axhline(5, color="#57606a", linestyle=":", linewidth=1)
        axes.set(xlabel="true drop of accuracy, points (the limit is 1)", ylabel="blessed, % of 10,000 pairs")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Prints a row per case, and draws the picture when a path is given."""
    print("| differing examples | examples | blessed at the limit | at no drop | at a gain of half a point |")
    print("|---|---|---|---|---|")
    for discordant in DISCORDANT:
        for number in NUM_EXAMPLES:
            shares = [blessed_share(drop, discordant, number) for drop in (LIMIT, 0.0, -0.005)]
            cells = " | ".join(f"{100 * share:.1f}%" for share in shares)
            print(f"| {100 * discordant:.0f}% | {number:,} | {cells} |")
    if len(sys.argv) > 1:
        draw(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
