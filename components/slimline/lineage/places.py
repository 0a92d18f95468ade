"""Where artifacts lie now: as recorded, or below the store when the whole root was moved."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

# As many as show where the root was.
_MAX_LOOKED_AT = 200


class Places:
    """Finds artifacts' folders.

    A run's root holds the store and, below it, the artifacts. When it was moved or copied, the recorded places are
    gone, and the same names lie below the store's new folder. All of a root moves at once: the way by which most of the
    missing are found holds for all of them.
    """

    def __init__(self, folder: Path, uris: Iterable[str]) -> None:
        """Looks where the root was.

        Args:
          folder: Of the store's file.
          uris: As recorded.
        """
        self._folder = folder.resolve()
        self._old_root = _old_root(self._folder, uris)

    @property
    def old_root(self) -> Path | None:
        """Where the root was when its artifacts were recorded; None when they lie where they were written."""
        return self._old_root

    def find(self, uri: str) -> Path:
        """Returns where an artifact is now; where it was recorded when it is nowhere."""
        recorded = Path(uri)
        if self._old_root is None or "://" in uri or not recorded.is_relative_to(self._old_root) or recorded.exists():
            return recorded
        moved = self._folder / recorded.relative_to(self._old_root)
        return moved if ".." not in recorded.parts and moved.exists() else recorded

    def recorded(self, place: Path) -> Path:
        """Returns the place under which what lies at `place` now was recorded."""
        if self._old_root is None or not place.is_relative_to(self._folder):
            return place
        return self._old_root / place.relative_to(self._folder)


def _old_root(folder: Path, uris: Iterable[str]) -> Path | None:
    roots: Counter[Path] = Counter()
    num_looked_at = 0
    for uri in uris:
        recorded = Path(uri)
        if not recorded.is_absolute() or ".." in recorded.parts or recorded.exists():
            continue
        num_looked_at += 1
        if num_looked_at > _MAX_LOOKED_AT:
            break
        # The longest way that leads somewhere.
        for root in reversed(recorded.parents):
            if root != folder and (folder / recorded.relative_to(root)).exists():
                roots[root] += 1
                break
    return roots.most_common(1)[0][0] if roots else None
