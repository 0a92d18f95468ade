"""Audits what a metadata store and the files beside it say. In: a store, a model, keys, a policy; out: findings.

Every rule is one function of `slimline.audit.rules`; none trusts what another part of the evidence can contradict.
Knows neither TFX nor TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
