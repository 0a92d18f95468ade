"""Calls functions in a process of their own, where a model that crashes, hangs or lies takes nothing else down.

Candidates, smoke runs and targets run this way. In comes a function of a module and its arguments,
which are pickled: the parent is trusted. Out comes plain data and arrays, which the child writes as JSON and raw bytes
(`messages`): nothing that a child sends is ever unpickled. The child (`child`) imports what the function needs and
nothing else, dies with its parent, and has a folder for temporary files that goes with it; what it prints is kept
within bounds (`guard`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
