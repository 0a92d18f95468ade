"""Runs `slimline.core.optimization.use_case` on TFX artifacts."""

from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.optimization.clustering_config import ClusteringConfig
from slimline.shells import shell
from slimline.shells.fine_tuning import run_technique
from slimline.shells.recording import recorded


class ClustererExecutor(BaseExecutor):
    """Executor of `Clusterer`."""

    @recorded
    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Reads model and examples, clusters, and writes the model."""
        config = ClusteringConfig.from_json(exec_properties[shell.CONFIG])
        data = ExamplesConfig.from_json(exec_properties[shell.DATA])
        run_technique(self, input_dict, output_dict, "clustered_model", config, data)
