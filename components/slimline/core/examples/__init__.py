"""Examples: records of TFRecord files, read once, matched with a model's inputs, and given as batches.

In: TFRecord files, a schema, an `ExamplesConfig`. Out: batches of (inputs by name, label), single features, digests.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
