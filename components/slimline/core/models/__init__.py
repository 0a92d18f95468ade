"""Keras models: found, loaded, rebuilt, counted and written.

In: a folder or file that a Trainer exported, in any form that tf_keras or Keras 3 writes. Out: a `TrainedModel` whose
variables are its own, or a folder where TFX and the converter look for a model.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
