"""What the component shells share: from TFX's channels, properties and URIs to what `slimline.core` takes, and back."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias

from tfx.components.util import examples_utils
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.types.component_spec import ExecutionParameter
from tfx.utils import io_utils

from slimline.core.atomic_write import staged_folder
from slimline.core.config import Config
from slimline.core.examples.records import has_records, list_files
from slimline.errors import ConfigError, ExamplesError, near_miss

ArtifactsByKey: TypeAlias = Mapping[str, Sequence[Artifact]]

CONFIG = "config"
DATA = "data"
COMPONENT_VERSION = "component_version"
_MAX_STRING_BYTES = 2_000
# Custom properties that TFX itself gives to every output.
_OF_TFX = ("name", "producer_component", "tfx_version", "pipeline_name", "is_external", "state")


def parameters(*keys: str) -> dict[str, ExecutionParameter]:
    """Returns the spec's parameters: strings only, since Kubeflow turns other types into something else.

    A component's version is one of them, because TFX's cache does not notice changed executor code.
    """
    return {key: ExecutionParameter(type=str) for key in (*keys, COMPONENT_VERSION)}


def to_parameter(config: Any, expected: type[Config]) -> str:
    """Returns the canonical JSON of a component's configuration.

    Raises:
      ConfigError: It is of another kind.
    """
    if not isinstance(config, expected):
        raise ConfigError(
            f"{config!r} of type {type(config).__name__}",
            f"a {expected.__name__}",
            f"write {expected.__name__}(...), with the options {', '.join(expected.model_fields)}",
        )
    return config.to_json()


def single(artifacts: ArtifactsByKey, key: str) -> Artifact:
    """Returns the one artifact under a key."""
    return artifact_utils.get_single_instance(list(artifacts[key]))


def split_files(examples: Artifact, split: str) -> tuple[str, ...]:
    """Returns the TFRecord files of one split of an `Examples` artifact.

    Raises:
      ExamplesError: There is no such split, it is empty, or it holds no tf.Examples.
    """
    payload_format = examples_utils.get_payload_format(examples)
    if payload_format != example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE:
        raise ExamplesError(
            f"Examples in {example_gen_pb2.PayloadFormat.Name(payload_format)} at {examples.uri}",
            "FORMAT_TF_EXAMPLE",
            "let the ExampleGen write tf.Examples: payload_format=example_gen_pb2.FORMAT_TF_EXAMPLE",
        )
    splits = artifact_utils.decode_split_names(examples.split_names)
    if split not in splits:
        raise ExamplesError(
            f"no split {split!r} in the Examples at {examples.uri}",
            "one of " + (", ".join(splits) or "none: the artifact has no splits"),
            f"give split=... another name, or configure the ExampleGen.{near_miss(split, splits)}",
        )
    return list_files(artifact_utils.get_split_uri([examples], split))


def refuse_empty_splits(examples: Artifact) -> None:
    """Checks that every split of an `Examples` artifact has a record.

    Stages that cost time call it before they start: an empty eval split would else be found only at the very end.

    Raises:
      ExamplesError: A split is empty.
    """
    for split in artifact_utils.decode_split_names(examples.split_names):
        files = list_files(artifact_utils.get_split_uri([examples], split))
        if not has_records(files):
            raise ExamplesError(
                f"no record in split {split!r} of the Examples at {examples.uri}",
                "at least one record in every split",
                "check the input of the ExampleGen, or leave this split out of its configuration",
            )


def schema_file(schema: Artifact) -> str:
    """Returns the path of the schema in a `Schema` artifact."""
    return f"{schema.uri.rstrip('/')}/schema.pbtxt"


@contextmanager
def local_folder(uri: str) -> Iterator[Path]:
    """Gives an artifact's folder as a local one; a remote folder is downloaded for the time of the context."""
    if not is_remote(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory() as folder:
        io_utils.copy_dir(uri, folder)
        yield Path(folder)


@contextmanager
def staged_output(uri: str) -> Iterator[Path]:
    """Gives a local folder to write an artifact in, and moves its content to `uri` when all went well.

    After an exception nothing of it is at `uri`.

    Raises:
      PipelineError: There is no space left.
    """
    if is_remote(uri):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            io_utils.copy_dir(folder, uri)
        return
    with staged_folder(Path(uri)) as folder:
        yield folder


def clear_output(output: Artifact) -> None:
    """Removes what an earlier attempt left in an output artifact, so that nothing of it contradicts what comes now."""
    if fileio.exists(output.uri):
        fileio.rmtree(output.uri)
    properties = output.mlmd_artifact.custom_properties
    for name in set(properties) - set(_OF_TFX):
        del properties[name]


def record(artifact: Artifact, properties: Mapping[str, str | int | float]) -> None:
    """Writes custom properties that every ML Metadata database keeps as they are.

    Floats and integers over 2^31 become strings in full precision: ML Metadata's doubles end after six decimals, and
    PostgreSQL and MySQL end its integers there. Strings lose what a database would not take.
    """
    for name, value in properties.items():
        if isinstance(value, str):
            artifact.set_string_custom_property(name, _storable(value))
        elif isinstance(value, Integral) and abs(int(value)) < 2**31:
            artifact.set_int_custom_property(name, int(value))
        else:
            # NumPy's numbers have a representation of their own.
            text = repr(int(value) if isinstance(value, Integral) else float(value))
            artifact.set_string_custom_property(name, text)


def _storable(text: str) -> str:
    """Keeps a string under PostgreSQL's limits: a backslash is an SQL error there, and so are over 2.6 kB."""
    clean = text.replace("\\", "/").replace("\0", "")
    return (
        clean
        if len(clean.encode()) <= _MAX_STRING_BYTES
        else clean.encode()[:_MAX_STRING_BYTES].decode(errors="ignore")
    )


def write_marker(uri: str, name: str, text: str) -> None:
    """Writes a small file into an artifact's folder."""
    fileio.makedirs(uri)
    io_utils.write_string_file(f"{uri.rstrip('/')}/{name}", text)


def is_remote(uri: str) -> bool:
    """Says whether a URI names a place that is no folder of this machine."""
    return "://" in uri
