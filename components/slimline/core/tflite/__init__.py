"""The `.tflite` file: read as bytes, run by LiteRT, compared with another, described for the app, and stamped.

In: the content of a file. Out: operations and weights, outputs and latencies, differences, `io_spec.json`'s content.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
