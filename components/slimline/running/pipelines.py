"""The pipelines that installed packages offer by name, through the entry points of Python packages.

A package names a function that creates a pipeline in the group `slimline.pipelines`, and, where its data ships with it,
one that writes the data under the same name in `slimline.pipelines.data`
(https://packaging.python.org/en/latest/specifications/entry-points/).
"""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from slimline.errors import PipelineError

GROUP = "slimline.pipelines"
DATA_GROUP = "slimline.pipelines.data"


@dataclass(frozen=True)
class NamedPipeline:
    """Where a pipeline's parts are, as `package.module:function`.

    Attributes:
      create: From the root folder to the TFX pipeline.
      prepare: Takes the root folder and writes the data that ships with the pipeline; empty when there is none.
      distribution: The installed package that offers it.
    """

    create: str
    prepare: str
    distribution: str


def installed_names() -> list[str]:
    """Returns the names of all pipelines that installed packages offer, sorted; nothing is imported."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def find_pipeline(name: str) -> NamedPipeline | None:
    """Finds a pipeline by its name; None when no package offers one.

    Raises:
      PipelineError: Several packages offer one of that name.
    """
    created = _only(name, GROUP)
    if created is None:
        return None
    prepared = _only(name, DATA_GROUP)
    return NamedPipeline(created.value, prepared.value if prepared else "", _package(created))


def _only(name: str, group: str) -> EntryPoint | None:
    # An editable installation may be found twice, through two folders.
    found = {(_package(entry), entry.value): entry for entry in entry_points(group=group, name=name)}
    if len(found) > 1:
        packages = ", ".join(sorted(f"{package} ({value})" for package, value in found))
        raise PipelineError(
            f"the pipeline {name!r} of several packages: {packages}",
            "one package that offers it",
            "uninstall the others, or name the function itself, as package.module:function",
        )
    return next(iter(found.values()), None)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown package"
