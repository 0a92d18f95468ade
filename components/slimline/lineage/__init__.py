"""Reads ML Metadata: what ran, what came of it, and where a file came from. Knows neither TFX nor TensorFlow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
