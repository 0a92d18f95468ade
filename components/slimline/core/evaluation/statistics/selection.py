"""Choosing among several candidates: the more there are, the likelier one of them looks good by chance.

Within a candidate every limit must hold. Such an intersection-union test needs no correction: its p-value is the
largest of its limits' (Berger, Technometrics 24, 1982). Among candidates one is chosen, which does need one: Holm's
procedure (Scandinavian Journal of Statistics 6, 1979) keeps the chance that any candidate which breaks a limit passes,
whatever the candidates have in common.
"""

from collections.abc import Mapping


def adjust(p_values: Mapping[str, float]) -> dict[str, float]:
    """Returns Holm's adjusted p-values.

    Args:
      p_values: By candidate: the largest over its limits. Candidates that broke a limit without chance, as bytes, are
        left out: they can't be chosen.

    >>> adjust({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    ordered = sorted(p_values, key=lambda name: p_values[name])
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
