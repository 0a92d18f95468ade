"""Candidates against the model that they came from, on the same examples: which of them may ship.

In: the original, candidates, files of examples, a `GateConfig`. Out: an `Evaluation` with a verdict and its reasons for
each candidate. The counts between are integers, which add up over workers in any order.
"""
