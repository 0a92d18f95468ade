"""Records a step: what went in, what came out, with which options and where, in statements beside its outputs."""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.io import fileio
from tfx.types.artifact import Artifact
from tfx.utils import io_utils

from slimline.names import file_names, metadata_keys
from slimline.provenance.chain import chain_text, merge_chains, parse_chain
from slimline.provenance.envelope import KEY_VARIABLE, Envelope, load_private_key, signing_password
from slimline.provenance.environment import describe_environment
from slimline.provenance.ledger import LEDGER_VARIABLE, append, require_writable
from slimline.provenance.manifest import CHAIN_FILE, FileEntry, Manifest, make_manifest, manifest_of
from slimline.provenance.statement import ArtifactState, Step
from slimline.shells import shell
from slimline.shells.tfx_internals import node_id, run_id

_CHUNK_BYTES = 2**20

_Do = TypeVar("_Do", bound=Callable[..., None])


def recorded(do: _Do) -> _Do:
    """Makes an executor's `Do` record what it did.

    Inputs are read before the step, since it is their state at use that counts; the key and the ledger too, so that a
    wrong one costs no training.
    """

    @functools.wraps(do)
    def recording_do(
        self: BaseExecutor,
        input_dict: shell.ArtifactsByKey,
        output_dict: shell.ArtifactsByKey,
        exec_properties: dict[str, Any],
    ) -> None:
        key, ledger = _signing_key(), _ledger()
        started = _now()
        inputs = tuple(_states(input_dict))
        chains = [_read_chain(artifact.uri) for artifacts in input_dict.values() for artifact in artifacts]
        do(self, input_dict, output_dict, exec_properties)
        step = Step(
            component=f"{type(self).__module__}.{type(self).__qualname__}",
            node=node_id(self),
            run=run_id(self),
            parameters=_laid_out(exec_properties),
            inputs=inputs,
            outputs=tuple(_states(output_dict)),
            started=started,
            finished=_now(),
            environment=describe_environment(),
        )
        envelope = step.to_envelope()
        if key is not None:
            envelope = envelope.sign(key)
        _write(output_dict, step, merge_chains([*chains, (envelope,)]))
        if ledger is not None:
            append(ledger, step=envelope.digest, node=step.node, run=step.run, finished=step.finished)

    return recording_do  # type: ignore[return-value]


def _signing_key() -> Any:
    path = os.environ.get(KEY_VARIABLE)
    if not path:
        return None
    return load_private_key(Path(path), signing_password())


def _ledger() -> Path | None:
    path = os.environ.get(LEDGER_VARIABLE)
    if not path:
        return None
    require_writable(Path(path))
    return Path(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _states(artifacts_by_key: shell.ArtifactsByKey) -> Iterator[ArtifactState]:
    for key, artifacts in artifacts_by_key.items():
        for artifact in artifacts:
            step = artifact.get_string_custom_property(metadata_keys.STEP_DIGEST)
            yield ArtifactState.of(
                key, artifact.type_name, artifact.uri, _manifest(artifact.uri), artifact.id, step or ""
            )


def _manifest(uri: str) -> Manifest:
    if not shell.is_remote(uri):
        return manifest_of(Path(uri))
    return make_manifest(_remote_entries(uri.rstrip("/")))


def _remote_entries(uri: str) -> Iterator[FileEntry]:
    for folder, _, names in fileio.walk(uri):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            digest, size_bytes = hashlib.sha256(), 0
            with fileio.open(path, "rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    size_bytes += len(chunk)
            yield FileEntry(path.removeprefix(f"{uri}/"), f"sha256:{digest.hexdigest()}", size_bytes)


def _read_chain(uri: str) -> tuple[Envelope, ...]:
    path = f"{uri.rstrip('/')}/{CHAIN_FILE}"
    if not fileio.exists(path):
        return ()
    with fileio.open(path) as stream:
        return parse_chain(stream.read())


def _write(output_dict: shell.ArtifactsByKey, step: Step, chain: tuple[Envelope, ...]) -> None:
    text = chain_text(chain)
    states = {state.uri: state for state in step.outputs}
    for artifacts in output_dict.values():
        for artifact in artifacts:
            _write_chain(artifact, text)
            shell.record(
                artifact,
                {
                    metadata_keys.STEP_DIGEST: chain[-1].digest,
                    metadata_keys.MANIFEST_DIGEST: states[artifact.uri].digest,
                },
            )


def _write_chain(artifact: Artifact, text: str) -> None:
    """Writes the chain beside an artifact; where a model is blessed, into what is pushed too."""
    root = artifact.uri.rstrip("/")
    fileio.makedirs(root)
    io_utils.write_string_file(f"{root}/{CHAIN_FILE}", text)
    serving = f"{root}/{file_names.SERVING_FOLDER}"
    if artifact.get_int_custom_property(metadata_keys.BLESSED) and fileio.exists(serving):
        io_utils.write_string_file(f"{serving}/{CHAIN_FILE}", text)


def _laid_out(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns parameters with JSON as what it says."""
    return {name: _parsed(value) for name, value in sorted(parameters.items()) if value not in (None, "")}


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value if isinstance(value, int | float | bool) else str(value)
    try:
        return json.loads(value) if value[:1] in "{[" else value
    except ValueError:
        return value
