"""A sample of records that depends on the records and a seed alone: not on order, shards, workers or runner.

In: serialized records and a `SamplingConfig`. Out: the records of lowest rank, and figures that describe them.
"""
