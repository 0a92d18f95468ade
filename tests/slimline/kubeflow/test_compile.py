"""The compiled pipeline is a golden: `SLIMLINE_UPDATE_GOLDENS=1 make test` writes it anew after a wanted change."""

import os
from pathlib import Path

import pytest
import yaml
from kfp import components

from slimline.kubeflow.compile import compile_pipeline
from slimline_pipelines.digits.pipeline import create_pipeline

GOLDEN = Path(__file__).parents[2] / "goldens" / "digits.yaml"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("compiled") / "digits.yaml"
    compile_pipeline(create_pipeline("/slimline"), output, "slimline:latest")
    return output


def test_the_specification_has_not_changed(compiled):
    if os.environ.get("SLIMLINE_UPDATE_GOLDENS"):
        GOLDEN.write_text(compiled.read_text())
    assert yaml.safe_load(compiled.read_text()) == yaml.safe_load(GOLDEN.read_text())


def test_kfp_loads_it(compiled):
    loaded = components.load_component_from_file(str(compiled))
    assert loaded.pipeline_spec.pipeline_info.name == "digits"


def test_every_component_runs_in_the_image_with_its_own_executor(compiled):
    executors = yaml.safe_load(compiled.read_text())["deploymentSpec"]["executors"]
    paths = set()
    for executor in executors.values():
        container = executor["container"]
        assert container["image"] == "slimline:latest"
        paths.add(container["args"][container["args"].index("--executor_class_path") + 1])
    assert "slimline.edge_validator.executor.EdgeValidatorExecutor" in paths
    assert len(executors) == 15


def test_compiling_leaves_one_file_and_no_folder(compiled):
    assert [path.name for path in compiled.parent.iterdir()] == ["digits.yaml"]
    assert not Path("/slimline").exists()
