"""The entry in a `.tflite` file that names what it was made of.

It is a metadata buffer of the file's format, which every runtime passes over
(https://ai.google.dev/edge/litert/conversion/tensorflow/metadata). It holds an id and no more, since digests do not
compress; what the id stands for is in `quantization_report.json` and ML Metadata. The id depends on what went in, not
on when: the same model, records and options give the same id, and the same file.
"""

import hashlib
import json
from importlib.metadata import version
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

ENTRY = "slimline_provenance"
_PACKAGES = {"converter": "tensorflow", "litert-quantizer": "litert-quantizer"}


def describe_origin(
    *, source_digest: str, config: str, backend: str, calibration_digest: str | None, training_digest: str | None
) -> dict[str, Any]:
    """Returns what a file is made of, with the id that follows from it.

    Args:
      source_digest: Of the model that was converted.
      config: Canonical JSON of the configuration.
      backend: Who converted.
      calibration_digest: Of the calibration records; None without them.
      training_digest: Of the files that were trained on; None without training.
    """
    origin = {
        "source_digest": source_digest,
        "config_digest": "sha256:" + hashlib.sha256(config.encode()).hexdigest(),
        "calibration_digest": calibration_digest,
        "training_digest": training_digest,
        "slimline": version("slimline"),
        _PACKAGES[backend]: version(_PACKAGES[backend]),
    }
    canonical = json.dumps(origin, sort_keys=True, separators=(",", ":"))
    return {"provenance_id": "slimline-" + hashlib.sha256(canonical.encode()).hexdigest()[:32], **origin}


def stamp(content: bytes, provenance_id: str) -> bytes:
    """Returns a file with the entry in it; one that is there already is replaced.

    Args:
      content: Bytes of a `.tflite` file.
      provenance_id: From `describe_origin`.
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
    """Returns the id in a file, or None when there is none."""
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    for entry in model.metadata or []:
        if entry.name == ENTRY.encode():
            return bytes(model.buffers[entry.buffer].data).decode(errors="replace")
    return None
