"""The rules, by what they look at. In: a case; out: findings. One function each, named like its id."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
