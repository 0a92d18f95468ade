"""Rules of the project that a tool can't know."""

import subprocess
import sys

import pytest

import slimline

HEAVY = ("tensorflow", "tfx", "apache_beam", "ml_metadata", "kfp", "tf_keras")


def loaded_by(statement: str) -> set[str]:
    """Returns which heavy packages a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.slow
def test_core_loads_no_tfx_beam_metadata_or_kubeflow():
    modules = [
        "config", "digest", "evaluation.conclusion", "evaluation.gates", "evaluation.metrics", "examples.batches",
        "examples.tfrecord", "models.saving", "models.weights", "optimization.clustering", "optimization.pruning",
        "optimization.training", "quantization.conversion", "sampling.rank", "tflite.runtime",
    ]  # fmt: skip
    loaded = loaded_by("\n".join(f"import slimline.core.{module}" for module in modules))
    assert loaded == {"tensorflow", "tf_keras"}


def test_lineage_loads_only_ml_metadata():
    modules = ("find", "graph", "runs", "store")
    assert loaded_by("\n".join(f"import slimline.lineage.{module}" for module in modules)) == {"ml_metadata"}


def test_the_command_line_and_the_package_load_nothing_heavy():
    assert loaded_by("import slimline.cli, slimline_pipelines") == set()


def test_every_public_name_can_be_loaded():
    assert set(slimline.__all__) == set(slimline._HOMES)
    for name in slimline.__all__:
        assert getattr(slimline, name).__name__ == name


def test_artifact_types_are_found_by_their_type_names():
    for artifact_type in (slimline.CalibrationDataset, slimline.EdgeEvaluation):
        package, _, name = artifact_type.TYPE_NAME.partition(".")
        assert getattr(sys.modules[package], name) is artifact_type
        assert not artifact_type.PROPERTIES
