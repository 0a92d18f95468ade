"""Candidates against the model that they came from, on the same examples: which of them may ship.

In: the original, candidates, files of examples, a `GateConfig`. Out: an `Evaluation` with a verdict and its reasons for
each candidate. The counts between are integers, which add up over workers in any order.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
