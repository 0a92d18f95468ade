"""What a user can ask of clustering: how many values, where they start, what stays zero."""

from typing import Literal

from pydantic import Field

from slimline.core.optimization.rules import LayerRule
from slimline.core.optimization.training_config import TechniqueConfig

# TFMOT needs that many when it has to keep zeros: one centroid is the zero itself.
MIN_CLUSTERS = 3


class ClusteringRule(LayerRule):
    """A number of clusters for some of the layers.

    Attributes:
      num_clusters: As in `ClusteringConfig`; None leaves these layers as they are.
    """

    num_clusters: int | None = Field(ge=MIN_CLUSTERS)


class ClusteringConfig(TechniqueConfig):
    """How many values each kernel may keep.

    Attributes:
      num_clusters: Distinct values per kernel, zero included. A kernel with fewer distinct weights gets as many
        clusters as it has.
      rules: Other numbers for some of the layers; the first rule that matches a layer counts.
      centroid_initialization: Where the values start.
      keep_zeros: Whether the zeros of a sparse kernel stay zeros.
    """

    num_clusters: int = Field(default=16, ge=MIN_CLUSTERS)
    rules: tuple[ClusteringRule, ...] = ()
    centroid_initialization: Literal["kmeans++", "density", "linear", "random"] = "kmeans++"
    keep_zeros: bool = True
