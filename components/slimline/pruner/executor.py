"""Runs `slimline.core.optimization.use_case` on TFX artifacts."""

from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.shells import shell
from slimline.shells.fine_tuning import run_technique
from slimline.shells.recording import recorded


class PrunerExecutor(BaseExecutor):
    """Executor of `Pruner`."""

    @recorded
    def Do(  # noqa: N802
        self, input_dict: shell.ArtifactsByKey, output_dict: shell.ArtifactsByKey, exec_properties: dict[str, Any]
    ) -> None:
        """Reads model and examples, prunes, and writes the model."""
        config = PruningConfig.from_json(exec_properties[shell.CONFIG])
        data = ExamplesConfig.from_json(exec_properties[shell.DATA])
        run_technique(self, input_dict, output_dict, "pruned_model", config, data)
