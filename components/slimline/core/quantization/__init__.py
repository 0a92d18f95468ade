"""From a Keras model to a `.tflite` file of a chosen scheme, run and described.

In: a model, calibration batches, a `QuantizationConfig`. Out: the file, how far it is from the float model, a report.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
