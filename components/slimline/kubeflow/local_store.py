"""A folder that stands for a bucket: it holds files by their addresses, and, as a bucket, no empty folders."""

import shutil
from pathlib import Path


class LocalStore:
    """Files by address.

    Args:
      folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def download(self, uri: str, target: Path) -> None:
        """Copies the file or all files below an address."""
        _copy_files(self._place(uri), target)

    def upload(self, source: Path, uri: str) -> None:
        """Copies a file or all files below a folder; nothing is there afterwards when there was none."""
        place = self._place(uri)
        shutil.rmtree(place, ignore_errors=True)
        _copy_files(source, place)

    def _place(self, uri: str) -> Path:
        return self._folder / uri.partition("://")[2]


def _copy_files(source: Path, target: Path) -> None:
    files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    for path in files:
        place = target if path == source else target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
