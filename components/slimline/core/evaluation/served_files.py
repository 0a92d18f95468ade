"""The files of a candidate that ship: read once, compared with recorded digests, and written from those very bytes."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slimline.core.digest import content_digest
from slimline.errors import ModelError
from slimline.names import file_names


@dataclass(frozen=True)
class ServedFiles:
    """The content of a candidate's serving folder, as far as it ships.

    Attributes:
      content: Bytes of the `.tflite` file.
      side_files: Bytes of the files beside it whose digests are recorded, by name.
    """

    content: bytes
    side_files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes them into a model's folder, and nothing else.

        Raises:
          ModelError: What lies there afterwards is something else.
        """
        serving = folder / file_names.SERVING_FOLDER
        serving.mkdir(parents=True)
        files = {file_names.TFLITE: self.content, **self.side_files}
        for name, content in files.items():
            (serving / name).write_bytes(content)
        written = {path.name: content_digest(_read_regular(serving, path.name)) for path in serving.iterdir()}
        if written != {name: content_digest(content) for name, content in files.items()}:
            raise ModelError(
                f"{folder}, in which another process writes", "a folder of this run alone", "find out what writes there"
            )


def read_served(folder: Path, digests: Mapping[str, str]) -> ServedFiles:
    """Reads what ships of a candidate's folder; no link is followed, and what has no recorded digest stays behind.

    Args:
      folder: That holds `Format-Serving`.
      digests: `sha256:<hex>` by file name, as they were recorded when the files were made.

    Raises:
      ModelError: A file is missing, is a link or no plain file, or has another digest.
    """
    serving = folder / file_names.SERVING_FOLDER
    names = (file_names.TFLITE, *sorted(set(digests) - {file_names.TFLITE}))
    found = {name: _read_regular(serving, name) for name in names}
    for name, content in found.items():
        recorded = digests.get(name, "")
        if recorded and content_digest(content) != recorded:
            raise ModelError(
                f"{serving / name} with the digest {content_digest(content)}, not {recorded}",
                "a model that does not change while it is validated",
                "find out what writes to that folder, and run the pipeline again",
            )
    return ServedFiles(found.pop(file_names.TFLITE), found)


def _read_regular(folder: Path, name: str) -> bytes:
    """Reads a plain file of a folder, neither of which may be a link."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        place = os.open(folder, flags | os.O_DIRECTORY)
        try:
            with os.fdopen(os.open(name, flags, dir_fd=place), "rb") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise OSError("it is no plain file")
                return stream.read()
        finally:
            os.close(place)
    except OSError as error:
        raise ModelError(
            f"no file {folder / name} that can be read: {error.strerror or error}",
            "a model that a Quantizer wrote, in plain files and without links",
            "put a Quantizer before this step, or give the file itself",
        ) from None
