"""Rules that choose layers by name and type, so that each may be treated in its own way."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from slimline.core.config import Config
from slimline.errors import ConfigError, near_miss

if TYPE_CHECKING:
    import tf_keras


class LayerRule(Config):
    """Which layers a rule is for.

    Attributes:
      layers: Pattern for layer names, with `*`, `?` and `[...]` as in file names.
      types: Layer types such as `Dense`; all of them when empty.
    """

    layers: str = Field(default="*", min_length=1)
    types: tuple[str, ...] = ()

    def matches(self, layer: "tf_keras.layers.Layer") -> bool:
        """Returns whether the rule is for a layer."""
        return fnmatchcase(layer.name, self.layers) and (not self.types or type(layer).__name__ in self.types)


Rule = TypeVar("Rule", bound=LayerRule)


def first_match(rules: Sequence[Rule], layer: "tf_keras.layers.Layer") -> Rule | None:
    """Returns the first rule for a layer: earlier rules go before later ones."""
    return next((rule for rule in rules if rule.matches(layer)), None)


def require_matches(rules: Iterable[LayerRule], layers: Sequence["tf_keras.layers.Layer"]) -> None:
    """Checks that no rule is without effect.

    Raises:
      ConfigError: A rule matches none of the layers.
    """
    for rule in rules:
        if any(rule.matches(layer) for layer in layers):
            continue
        listed = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in layers)
        hint = near_miss(rule.layers, [layer.name for layer in layers])
        raise ConfigError(
            f"a rule for layers={rule.layers!r}, types={list(rule.types)}, which matches no layer",
            f"a pattern for one of {listed}",
            f"correct or remove the rule.{hint}",
        )
