"""How sure a figure is: counts in, bounds and p-values out.

In: `MetricCounts` of a metric on a slice, and a `Question` with limit and level. Out: `Evidence`. That every statistic
holds its level is shown by `benchmarks/decisions.py`.
"""
