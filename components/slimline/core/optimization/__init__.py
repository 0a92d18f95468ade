"""What changes a Keras model's weights: pruning, clustering and quantization-aware training, and fine-tuning below.

In: a tf_keras model, batches of examples, a configuration. Out: an `OptimizedModel` with what was done to each kernel
and why the other layers were left.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
