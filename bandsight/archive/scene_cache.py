"""Remembers scenes that were read since the last commit."""

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
        self._generation = -1

    def of(self, catalog: Catalog, ids: AbstractSet[int]) -> dict[int, Scene]:
        """Return scenes whose tiles were just found alive; those of unknown ids are left out.

        Raises:
            ArchiveError: A row is damaged.
        """
        generation = catalog.generation()
        with self._lock:
            if generation != self._generation:
                # A commit may have changed where scenes lie.
                self._known.clear()
                self._generation = generation
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
