"""A sample of records that depends on the records and a seed alone: not on order, shards, workers or runner.

In: serialized records and a `SamplingConfig`. Out: the records of lowest rank, and figures that describe them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
