"""Which examples are independent: copies of one record, or several records of one patient, are not.

Examples with the same key are one cluster. A cluster is as much evidence as one example, however many records it has.
So counts are divided by the size of the cluster that a random example is in, which is the design effect of a cluster
sample whose members are alike (Kish, Survey Sampling, 1965). Copies of one record are exactly alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MAX_SHARE_OF_COPIES = 0.01


@dataclass(frozen=True)
class Clusters:
    """The clusters that examples are in.

    Attributes:
      num_examples: Examples.
      num_clusters: Different keys.
      design: Mean size of the cluster that an example is in; 1 where all examples are independent.
      smallest: Size of the smallest cluster.
    """

    num_examples: int
    num_clusters: int
    design: float
    smallest: int


def find_clusters(keys: Sequence[np.ndarray]) -> Clusters:
    """Returns what the keys of all examples say.

    Args:
      keys: Parts, each of unsigned 64-bit hashes.
    """
    together = np.concatenate(keys) if keys else np.zeros(0, np.uint64)
    if not together.size:
        return Clusters(0, 0, 1.0, 0)
    _, sizes = np.unique(together, return_counts=True)
    design = float(np.square(sizes, dtype=np.float64).sum() / sizes.sum())
    return Clusters(int(sizes.sum()), len(sizes), design, int(sizes.min()))


def describe_copies(clusters: Clusters) -> tuple[str, ...]:
    """Returns warnings about records that are there more than once."""
    copies = clusters.num_examples - clusters.num_clusters
    if copies <= _MAX_SHARE_OF_COPIES * clusters.num_examples:
        return ()
    text = (
        f"{copies:,} of {clusters.num_examples:,} examples are copies of another record: bounds count the "
        f"{clusters.num_clusters:,} different ones"
    )
    if clusters.smallest > 1:
        text += f". Every record is there {clusters.smallest} times or more: is a file read twice?"
    return (text,)
