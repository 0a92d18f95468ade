"""Evidence that leaves the store, in formats that other tools read. In: a model with its statements; out: documents.

Everything is made from the statements and the evaluation alone, and the same input gives the same bytes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
