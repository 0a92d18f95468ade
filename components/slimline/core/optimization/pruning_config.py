"""What a user can ask of pruning: targets, rules, schedule and structure."""

from typing import Literal

from pydantic import Field, model_validator

from slimline.core.optimization.rules import LayerRule
from slimline.core.optimization.training_config import TechniqueConfig

_DEFAULT_SPARSITY = 0.5


class PruningRule(LayerRule):
    """A target for some of the layers.

    Attributes:
      target_sparsity: As in `PruningConfig`; 0 leaves these layers as they are.
    """

    target_sparsity: float = Field(ge=0, lt=1)


class PruningConfig(TechniqueConfig):
    """How far, how fast and in which structure to prune.

    Attributes:
      target_sparsity: Share of weights that become zero, over 0 and under 1; 0.5 when left out.
      scope: Whether each `layer` reaches the target, or the whole `model` does, which also has the kernels that can't
        be pruned: then the smallest weights of all layers together go ("global magnitude pruning", Han et al. 2015).
      rules: Other targets for some of the layers; the first rule that matches a layer counts.
      schedule: `polynomial` raises the sparsity in a cubic curve from `initial_sparsity`; `constant` prunes to the
        target from the first step on.
      initial_sparsity: Where the polynomial schedule starts, under every target; 0 when left out.
      ramp: Share of the steps in which the polynomial schedule reaches the target, 0.75 when left out; in the rest the
        model recovers.
      structure: `unstructured` zeros lie anywhere; `block` zeros lie in blocks of `block_size`, in matrices only;
        `m_by_n` means that in every n weights along the input channels at least m are zero.
      block_size: Rows and columns of a block.
      block_pooling: Whether a block counts by its `average` or its `max` magnitude; `average` when left out.
      m_by_n: (m, n), as (2, 4) which some hardware computes faster. The sparsity is m / n, from the first step on.
    """

    target_sparsity: float | None = Field(default=None, gt=0, lt=1)
    scope: Literal["layer", "model"] = "layer"
    rules: tuple[PruningRule, ...] = ()
    schedule: Literal["polynomial", "constant"] | None = None
    initial_sparsity: float | None = Field(default=None, ge=0, lt=1)
    ramp: float | None = Field(default=None, gt=0, le=1)
    structure: Literal["unstructured", "block", "m_by_n"] = "unstructured"
    block_size: tuple[int, int] | None = None
    block_pooling: Literal["average", "max"] | None = None
    m_by_n: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _check(self) -> "PruningConfig":
        _require(
            self.schedule != "constant" or (self.initial_sparsity is None and self.ramp is None),
            "initial_sparsity and ramp belong to schedule='polynomial'; constant has neither",
        )
        lowest = min([self.target, *(rule.target_sparsity for rule in self.rules if rule.target_sparsity)])
        _require(
            self.initial_sparsity is None or self.initial_sparsity < lowest,
            f"initial_sparsity under every target_sparsity, of which the lowest is {lowest}",
        )
        _require(
            (self.structure == "block") == (self.block_size is not None),
            "block_size with structure='block', and without it none",
        )
        _require(self.block_size is None or min(self.block_size) >= 1, "block_size of at least (1, 1)")
        _require(
            self.structure == "block" or self.block_pooling is None, "block_pooling belongs to structure='block' alone"
        )
        self._check_m_by_n()
        _require(not (self.scope == "model" and self.rules), "either rules or scope='model'")
        return self

    def _check_m_by_n(self) -> None:
        _require(
            (self.structure == "m_by_n") == (self.m_by_n is not None),
            "m_by_n with structure='m_by_n', and without it none",
        )
        if self.m_by_n is None:
            return
        _require(0 < self.m_by_n[0] < self.m_by_n[1], "m_by_n=(m, n) with m at least 1 and under n")
        _require(
            self.target_sparsity is None and self.schedule != "polynomial" and self.scope == "layer",
            "neither target_sparsity nor schedule='polynomial' nor scope='model': m_by_n gives the sparsity itself",
        )
        _require(
            all(rule.target_sparsity == 0 for rule in self.rules),
            "rules that leave layers out with target_sparsity=0: m_by_n gives the sparsity itself",
        )

    @property
    def target(self) -> float:
        """The sparsity to reach, from 0 to 1, as far as no rule says otherwise."""
        if self.m_by_n is not None:
            return self.m_by_n[0] / self.m_by_n[1]
        return _DEFAULT_SPARSITY if self.target_sparsity is None else self.target_sparsity


def _require(condition: bool, expected: str) -> None:
    if not condition:
        raise ValueError(expected)
