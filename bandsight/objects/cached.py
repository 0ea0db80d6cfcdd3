"""An archive's files on object storage with a local cache."""

from pathlib import Path

from bandsight.objects.cache import FileCache
from bandsight.objects.place import Place
from bandsight.objects.store import Objects

MARKER = "archive.json"
"""The object that identifies the archive whose files are under a prefix."""
_FOLDER = "cache"


class CachedObjects:
    """Object storage with a local cache; thread-safe."""

    def __init__(self, url: str, folder: Path) -> None:
        """Initialize without contacting the storage.

        Args:
            url: See `Place.parse`.
            folder: The archive's local folder, which contains the cache.

        Raises:
            ArchiveError: The URL is invalid, or the folder cannot be created.
        """
        self.objects = Objects(Place.parse(url))
        self.cache = FileCache(folder / _FOLDER, self.objects.place.cache_bytes)

    def __str__(self) -> str:
        return str(self.objects.place)
