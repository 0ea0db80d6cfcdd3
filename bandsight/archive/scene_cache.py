"""Remembers scenes that were read: a row of the catalog never changes, and a scene's id is never used twice."""

import threading
from collections import OrderedDict
from collections.abc import Set as AbstractSet

from bandsight.catalog.port import Catalog
from bandsight.catalog.records import Scene

# Some 5 kB each.
_MOST = 8192


class SceneCache:
    """The scenes that hits were of lately; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Scene] = OrderedDict()

    def of(self, catalog: Catalog, ids: AbstractSet[int]) -> dict[int, Scene]:
        """Return scenes whose tiles were just found alive; those of unknown ids are left out.

        Raises:
            ArchiveError: A row is damaged.
        """
        with self._lock:
            found = {one: self._known[one] for one in ids if one in self._known}
            for one in found:
                self._known.move_to_end(one)
        missing = sorted(ids - found.keys())
        if missing:
            fresh = catalog.scenes(missing)
            found |= fresh
            with self._lock:
                self._known |= fresh
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
        return found
