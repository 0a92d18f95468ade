"""Artifact types of Slimline's own. Models, blessings and examples are TFX's standard types.

Kubeflow imports a type by `<package>.<class>`, so that both are also exported by `slimline` itself. They declare no
properties, which Kubeflow refuses; what is recorded stands in custom properties (`slimline.names.metadata_keys`).
"""

from tfx.types.artifact import Artifact

from slimline.names import metadata_keys


class CalibrationDataset(Artifact):
    """Records to measure activation ranges on: `records.tfrecord.gz`, and `manifest.json` that lists them."""

    TYPE_NAME = metadata_keys.CALIBRATION_DATASET_TYPE


class EdgeEvaluation(Artifact):
    """The comparison of all candidates with the original model: `evaluation.json`, and `evaluation.html` for people."""

    TYPE_NAME = metadata_keys.EDGE_EVALUATION_TYPE
