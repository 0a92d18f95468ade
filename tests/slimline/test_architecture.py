"""Rules of the project that a tool can't know."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import slimline
from slimline.core.config import Config

SOURCES = Path(slimline.__file__).parent
HEAVY = ("tensorflow", "tfx", "apache_beam", "ml_metadata", "kfp", "tf_keras", "keras", "ai_edge_litert")


def packages_with_a_face() -> list[str]:
    return sorted(
        ".".join(("slimline", *stub.parent.relative_to(SOURCES).parts)) for stub in SOURCES.rglob("__init__.pyi")
    )


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
    assert loaded == {"tensorflow", "tf_keras", "keras", "ai_edge_litert"}


def test_lineage_loads_only_ml_metadata():
    modules = ("find", "graph", "runs", "store")
    assert loaded_by("\n".join(f"import slimline.lineage.{module}" for module in modules)) == {"ml_metadata"}


def test_the_command_line_and_the_package_load_nothing_heavy():
    assert loaded_by("import slimline.cli, slimline_pipelines") == set()


def test_every_name_in_the_face_of_a_package_can_be_loaded():
    assert len(packages_with_a_face()) >= 20
    for package in packages_with_a_face():
        face = importlib.import_module(package)
        for name in face.__all__:
            value = getattr(face, name)
            if isinstance(value, type | FunctionType):
                assert value.__name__ == name


def test_every_room_says_what_it_is_for_and_has_a_face():
    rooms = {".".join(("slimline", *init.parent.relative_to(SOURCES).parts)) for init in SOURCES.rglob("__init__.py")}
    for room in rooms:
        assert importlib.import_module(room).__doc__
    # What has none is a set of files that are meant to be named in full.
    faceless = {"slimline.cli", "slimline.core", "slimline.core.internals", "slimline.names", "slimline.shells"}
    assert rooms - set(packages_with_a_face()) == faceless


def test_configuration_objects_load_nothing_heavy():
    names = [name for name in dir(slimline) if isinstance(getattr(slimline, name), type)]
    configs = [name for name in names if issubclass(getattr(slimline, name), Config)]
    assert {"ExamplesConfig", "GateConfig", "PruningConfig", "QuantizationConfig", "SamplingConfig"} <= set(configs)
    assert loaded_by(f"from slimline import {', '.join(configs)}") == set()
    assert loaded_by("import slimline.core.evaluation.gates, slimline.core.quantization.advisor") == set()


def test_artifact_types_are_found_by_their_type_names():
    for artifact_type in (slimline.CalibrationDataset, slimline.EdgeEvaluation):
        package, _, name = artifact_type.TYPE_NAME.partition(".")
        assert getattr(sys.modules[package], name) is artifact_type
        assert not artifact_type.PROPERTIES


# Deep modules that are no promise of their library, and names that begin with an underscore.
DEEP = re.compile(r"(?:from|import) (?:tensorflow_model_optimization\.python|keras\.src|tensorflow\.(?:lite\.)?python)")
PRIVATE = re.compile(r"(?<!self)(?<!cls)(?<!super\(\))\._[a-z]\w*")
INTERNALS = ("core/internals/", "shells/tfx_internals.py", "transforms/beam_internals.py")


def test_what_other_libraries_keep_to_themselves_is_used_in_one_module_for_each():
    found = []
    for path in SOURCES.rglob("*.py"):
        name = path.relative_to(SOURCES).as_posix()
        if not name.startswith(INTERNALS):
            # Documented, whatever its name looks like.
            lines = [line for line in path.read_text().splitlines() if "os._exit(" not in line]
            found += [f"{name}: {line.strip()}" for line in lines if DEEP.search(line) or PRIVATE.search(line)]
    assert not found


def test_every_module_of_internals_says_in_which_version_they_were_seen():
    sources = [path for path in SOURCES.rglob("*.py") if path.name != "__init__.py"]
    internals = [path for path in sources if path.relative_to(SOURCES).as_posix().startswith(INTERNALS)]
    assert len(internals) == 7
    for path in internals:
        assert re.search(r"seen\s+in [\w.\- ]*\d+\.\d+", path.read_text()), path
