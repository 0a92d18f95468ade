"""How often the gate blesses what breaks a limit, in simulations with the truth known and fixed seeds.

Each world is named by what once went wrong; a second gate, which looks at bare figures or at
all slices together, must be caught in it, or the world would show nothing.
"""

import numpy as np
import pytest

from slimline.core.evaluation.gates import GateConfig, Threshold
from slimline.core.evaluation.metrics import CustomMetric
from slimline.core.evaluation.slices import SliceBy
from tests.simulated_gates import Drawn, Gate, allowed_share, blessed_share

HIT = (
    "import numpy\n\n\ndef hit(labels, predictions):\n    return ((predictions[:, 0] >= 0.5) == labels).astype(float)\n"
)


def gate(metric, limit, kind="binary", **options):
    slice_name = options.pop("slice", "overall")
    return Gate(GateConfig(thresholds=(Threshold(metric=metric, max_drop=limit, slice=slice_name),), **options), kind)


def few_positives(num_examples, num_positives, lost, copies=1):
    """A baseline that is right; the candidate loses each positive with a chance. Positives may be there many times."""

    def world(generator):
        positive = np.arange(num_examples) < num_positives
        baseline = np.where(positive, 0.9, 0.1)
        candidate = np.where(positive & (generator.random(num_examples) < lost), 0.05, baseline)
        rows = np.repeat(np.arange(num_examples), np.where(positive, copies, 1))
        return Drawn(positive[rows].astype(int), baseline[rows, None], [candidate[rows, None]], keys=rows)

    return world


def right_or_wrong(num_examples, worse, better, candidates=1, copies=1, slices=None):
    """Independent candidates that get a share wrong which the baseline gets right, and the other way round."""

    def world(generator):
        labels = np.arange(num_examples) % 2
        easy = generator.random(num_examples) < 0.9
        baseline = np.where(easy, labels, 1 - labels)
        given = []
        for _ in range(candidates):
            chances = np.where(easy, worse(num_examples) if callable(worse) else worse / 0.9, better / 0.1)
            given.append(np.where(generator.random(num_examples) < chances, 1 - baseline, baseline))
        rows = np.repeat(np.arange(num_examples), copies)
        scores = [0.1 + 0.8 * one[rows, None] for one in (baseline, *given)]
        names = None if slices is None else [f"part={row % slices}" for row in rows]
        return Drawn(labels[rows], scores[0], scores[1:], rows if copies > 1 else None, names)

    return world


def outliers(num_examples, share, worse):
    """The candidate's loss is worse by a number on a share of the examples."""

    def world(generator):
        labels = np.ones(num_examples, int)
        baseline = np.full(num_examples, 0.9)
        hit = generator.random(num_examples) < share
        candidate = np.where(hit, 0.9 * np.exp(-worse), 0.9)
        return Drawn(labels, baseline[:, None], [candidate[:, None]])

    return world


def worst_part(num_parts, size, lost):
    """All parts but the last are as good as before; that one loses a share."""
    return right_or_wrong(
        num_parts * size, lambda n: np.where(np.arange(n) % num_parts == num_parts - 1, lost, 0), 0, slices=num_parts
    )


BARE = {"confidence": None}
PARTS = (SliceBy(features=("part",)),)
# What is simulated, how often, the gate, and the gate that the simulation has to catch.
WORLDS = {
    "recall of 20 positives, which drops by 4.6 points": (
        few_positives(1000, 20, 0.046), 60, gate("recall", 0.01), gate("recall", 0.01, **BARE)),
    "F1 of 20 positives": (few_positives(1000, 20, 0.046), 60, gate("f1", 0.01), gate("f1", 0.01, **BARE)),
    "AUC of 20 positives": (few_positives(1000, 20, 0.046), 60, gate("auc", 0.01), gate("auc", 0.01, **BARE)),
    "recall of 30 positives, at the limit": (
        few_positives(300, 30, 0.05), 100, gate("recall", 0.05), gate("recall", 0.05, **BARE)),
    "recall of 200 positives, at the limit": (
        few_positives(400, 200, 0.05), 150, gate("recall", 0.05), gate("recall", 0.05, **BARE)),
    "log loss with rare outliers": (
        outliers(300, 0.002, 5), 100, gate("log_loss", 0.01), gate("log_loss", 0.01, **BARE)),
    "log loss with outliers, many examples": (
        outliers(2000, 0.01, 5), 150, gate("log_loss", 0.05), gate("log_loss", 0.05, **BARE)),
    "accuracy, at the limit": (
        right_or_wrong(400, 0.025, 0.005), 150, gate("accuracy", 0.02), gate("accuracy", 0.02, **BARE)),
    "accuracy, best of 4": (
        right_or_wrong(200, 0.05, 0, candidates=4), 80, gate("accuracy", 0.05), gate("accuracy", 0.05, **BARE)),
    "accuracy, best of 16": (
        right_or_wrong(200, 0.05, 0, candidates=16), 60, gate("accuracy", 0.05), gate("accuracy", 0.05, **BARE)),
    "500 records, each ten times": (
        right_or_wrong(500, 0.015, 0, copies=10), 60, gate("accuracy", 0.01), gate("accuracy", 0.01, **BARE)),
    "four slices, of which one is at the limit": (
        worst_part(4, 60, 0.06), 60, gate("accuracy", 0.06, slices=PARTS, slice="*"), gate("accuracy", 0.06)),
}  # fmt: skip


@pytest.mark.parametrize("name", WORLDS)
def test_what_breaks_a_limit_is_rarely_blessed(name):
    world, num_runs, honest, naive = WORLDS[name]
    assert blessed_share(honest, world, num_runs) <= allowed_share(0.95, num_runs)
    assert blessed_share(naive, world, num_runs) > allowed_share(0.95, num_runs)


@pytest.mark.xfail(reason="copies are counted by their mean number, and these are all in the class that is judged")
def test_copies_of_the_few_positives_alone_are_no_evidence():
    world = few_positives(1000, 20, 0.1, copies=50)
    assert blessed_share(gate("recall", 0.1), world, 100) <= allowed_share(0.95, 100)


def test_a_metric_of_ones_own_is_rarely_blessed(tmp_path, monkeypatch):
    (tmp_path / "hits_of_ones_own.py").write_text(HIT)
    monkeypatch.syspath_prepend(tmp_path)
    own = (CustomMetric(name="own", function="hits_of_ones_own.hit"),)
    world = right_or_wrong(50, 0.03, 0)
    assert blessed_share(gate("own", 0.01, custom_metrics=own), world, 80) <= allowed_share(0.95, 80)
    bare = gate("own", 0.01, custom_metrics=own, confidence=None)
    assert blessed_share(bare, world, 80) > allowed_share(0.95, 80)


def test_ten_looks_at_growing_examples_rarely_bless_what_breaks_a_limit():
    """What a gate for one look makes of ten is in `test_statistics`, where more runs show the smaller difference."""
    honest, bare = gate("accuracy", 0.06, looks="anytime"), gate("accuracy", 0.06, **BARE)
    whole, generator, num_runs, blessed = right_or_wrong(400, 0.06, 0), np.random.default_rng(0), 60, np.zeros(2)
    for _ in range(num_runs):
        drawn = whole(generator)
        looks = [Drawn(drawn.labels[:n], drawn.baseline[:n], [drawn.candidates[0][:n]]) for n in range(40, 401, 40)]
        blessed += [any(asked.blesses(look) for look in looks) for asked in (honest, bare)]
    assert blessed[0] / num_runs <= allowed_share(0.95, num_runs) < blessed[1] / num_runs
