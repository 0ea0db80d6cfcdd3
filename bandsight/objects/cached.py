"""An archive's files on object storage, with the copies that this machine keeps."""

from pathlib import Path

from bandsight.objects.cache import FileCache
from bandsight.objects.place import Place
from bandsight.objects.store import Objects

MARKER = "archive.json"
"""The object that says whose files are under a prefix."""
_FOLDER = "cache"


class CachedObjects:
    """Objects, and a cache of them; safe to share between threads."""

    def __init__(self, url: str, folder: Path) -> None:
        """Name both; nothing is asked of the storage yet.

        Args:
            url: See `Place.parse`.
            folder: The archive's folder on this machine; the cache is in it.

        Raises:
            ArchiveError: The URL is wrong, or the folder cannot be made.
        """
        self.objects = Objects(Place.parse(url))
        self.cache = FileCache(folder / _FOLDER, self.objects.place.cache_bytes)

    def __str__(self) -> str:
        return str(self.objects.place)
