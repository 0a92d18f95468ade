"""The entry in a `.tflite` file that names what it was made of.

It is a metadata buffer of the file's format, which every runtime passes over
(https://ai.google.dev/edge/litert/conversion/tensorflow/metadata). It holds an id and no more, since digests do not
compress; what the id stands for is in `quantization_report.json` and ML Metadata. The id depends on what went in, not
on when: the same model, records and options give the same id, and the same file.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

ENTRY = "slimline_provenance"
# More than any writer makes.
_MAX_ENTRIES, _MAX_ID_BYTES = 1_000, 1_000
_PACKAGES = {"converter": "tensorflow", "litert-quantizer": "litert-quantizer"}


@dataclass(frozen=True)
class Origin:
    """What a file is made of.

    Attributes:
      source_digest: Of the model that was converted.
      config_digest: Of the canonical JSON of the configuration.
      calibration_digest: Of the calibration records; None without them.
      training_digest: Of the files that were trained on; None without training.
      versions: Of Slimline and of the package that converted, by name.
    """

    source_digest: str
    config_digest: str
    calibration_digest: str | None
    training_digest: str | None
    versions: Mapping[str, str]

    @property
    def provenance_id(self) -> str:
        """The id that follows from all of it, as `slimline-` and 32 hexadecimal digits."""
        canonical = json.dumps(self._parts(), sort_keys=True, separators=(",", ":"))
        return "slimline-" + hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, str | None]:
        """Returns it for JSON, the id first."""
        return {"provenance_id": self.provenance_id, **self._parts()}

    def _parts(self) -> dict[str, str | None]:
        return {
            "source_digest": self.source_digest,
            "config_digest": self.config_digest,
            "calibration_digest": self.calibration_digest,
            "training_digest": self.training_digest,
            **self.versions,
        }


def describe_origin(
    *, source_digest: str, config: str, backend: str, calibration_digest: str | None, training_digest: str | None
) -> Origin:
    """Returns what a file is made of, with the versions that are installed.

    Args:
      source_digest: Of the model that was converted.
      config: Canonical JSON of the configuration.
      backend: Who converted.
      calibration_digest: Of the calibration records; None without them.
      training_digest: Of the files that were trained on; None without training.
    """
    return Origin(
        source_digest,
        "sha256:" + hashlib.sha256(config.encode()).hexdigest(),
        calibration_digest,
        training_digest,
        {package: version(package) for package in ("slimline", _PACKAGES[backend])},
    )


def stamp(content: bytes, provenance_id: str) -> bytes:
    """Returns a file with the entry in it; one that is there already is replaced.

    Args:
      content: Bytes of a `.tflite` file.
      provenance_id: Of its `Origin`.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(provenance_id.encode(), np.uint8)
    entries = list(model.metadata or [])
    known = next((entry for entry in entries if entry.name == ENTRY.encode()), None)
    if known is not None:
        model.buffers[known.buffer] = buffer
    else:
        entry = schema.MetadataT()
        entry.name = ENTRY.encode()
        entry.buffer = len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [*entries, entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def read_provenance_id(content: bytes) -> str | None:
    """Returns the id in a file, or None when there is none, or it is no `.tflite` file that can be read.

    The file may come from anybody: nothing but the entry is read, and no table twice.
    """
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        return None
    try:
        model = schema.Model.GetRootAs(content)
        for number in range(min(model.MetadataLength(), _MAX_ENTRIES)):
            entry = model.Metadata(number)
            if entry.Name() == ENTRY.encode():
                stamped = model.Buffers(entry.Buffer()).DataAsNumpy()
                return bytes(stamped)[:_MAX_ID_BYTES].decode(errors="replace") if len(stamped) else None
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError):
        return None
    return None
