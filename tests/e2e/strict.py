"""The digits pipeline with a gate that nothing passes: every candidate would have to gain half of all examples."""

from tfx.orchestration.pipeline import Pipeline

from slimline import GateConfig, Threshold
from slimline_pipelines.digits import pipeline

GATE = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=-0.5),))


def create_pipeline(root: str) -> Pipeline:
    return pipeline.create_pipeline(root, gate=GATE)
