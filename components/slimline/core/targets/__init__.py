"""What each kind of hardware makes of a `.tflite` file.

In: the content of a file; examples and options where a target needs them. Out: a `TargetReport`: whether it runs there,
what is accelerated, and why the rest is not.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
