"""What a step did, as signed statements that travel with its outputs. In: folders; out: manifests, statements, chains.

Every statement is an in-toto Statement v1 with SLSA's provenance v1 as predicate, in a DSSE envelope: the formats that
other tools read. Knows neither TFX nor TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
