"""How sure a figure is: counts in, bounds and p-values out.

In: `MetricCounts` of a metric on a slice, and a `Question` with limit and level. Out: `Evidence`. That every statistic
holds its level is shown by `benchmarks/decisions.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
