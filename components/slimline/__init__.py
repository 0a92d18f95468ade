"""Slimline: TFX components that make a trained model small enough for a device, and prove that it is still good enough.

The map, from the inside out. Each room may use the ones before it, never the ones after:

    errors, names     a user's mistakes; the names of what is recorded
    core              pruning, clustering, quantization, sampling, evaluation, gates: Keras, LiteRT and NumPy, no TFX
    transforms        the same at scale: Beam transforms over core
    report            the evaluation as one page for people
    artifacts, shells from TFX's artifacts and parameters to core, and back; how far a component is
    pruner, clusterer, calibration_sampler, quantizer, edge_validator
                      one folder per component: `component.py` is its face, `executor.py` its work
    kubeflow          compiles a pipeline for Kubeflow Pipelines
    running           runs a pipeline in a process of its own and tells how far it is
    lineage           reads ML Metadata: where a file came from. Knows no TFX
    cli               the command line over all of it

`slimline_pipelines` holds complete pipelines made of these parts.

The public names stand in `__init__.pyi`, of this package and of each room, and nowhere else. They are loaded when they
are first used, so that `import slimline` costs nothing, and a configuration object loads no TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
